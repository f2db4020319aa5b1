"""An environment that raises, on the command line: its author's frames, and an exit status of 1."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import opspo
from opspo.cli import main
from opspo.environments import make_env
from opspo.errors import EngineError, TrainingError
from opspo.training.evaluate_run import evaluate_run

pytestmark = pytest.mark.slow

SMALL = [
    *("--algo", "mappo", "--total-steps", "64", "--no-tensorboard"),
    *("--rollout.num-envs", "8", "--rollout.num-steps", "8", "--policy.hidden-sizes", "8"),
    *("--evaluation.final-episodes", "0", "--evaluation.every-steps", "0"),
]

MODULE = '''
"""Two agents that stand still for three steps, and a fault that can be put in."""
import gymnasium, numpy, pettingzoo

FAULT = [""]

def may_fail(where):
    if FAULT[0] == where:
        raise ZeroDivisionError("the author's fault at " + where)

class Still(pettingzoo.ParallelEnv):
    metadata = {"name": "still"}
    possible_agents = ["a", "b"]

    def observation_space(self, agent):
        return gymnasium.spaces.Box(-1, 1, (4,))

    def action_space(self, agent):
        return gymnasium.spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        may_fail("reset")
        self.agents, self.t = list(self.possible_agents), 0
        return self.all(numpy.zeros(4, numpy.float32)), self.all({})

    def step(self, actions):
        may_fail("step")
        self.t += 1
        seen, over = self.all(numpy.zeros(4, numpy.float32)), self.all(self.t == 3)
        answer = seen, self.all(1.0), over, self.all(False), self.all({})
        if self.t == 3:
            self.agents = []
        return answer

    def render(self):
        may_fail("render")
        return numpy.zeros((8, 8, 3), numpy.uint8)

    def all(self, value):
        return dict.fromkeys(self.possible_agents, value)

def parallel_env(render_mode=None):
    may_fail("made")
    return Still()
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("raising")


@pytest.fixture(scope="module")
def still(folder):
    """The module of an environment on which there is a run, by its id."""
    (folder / "stands_still.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    main(["train", "--env", "pettingzoo/stands_still", *SMALL, "--run-dir", str(folder / "run")])
    yield sys.modules["stands_still"]
    sys.path.remove(str(folder))
    del sys.modules["stands_still"]


def fails(capsys, *arguments):
    """What a command says as it fails."""
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    said = capsys.readouterr().err
    assert stop.value.code == 1, said
    assert said.startswith("opspo: ") and "Traceback" not in said
    assert "src/opspo" not in said and "site-packages" not in said
    return said


@pytest.mark.parametrize(
    ("command", "where"),
    [
        *(("eval", where) for where in ("reset", "step", "made")),
        *(("watch", where) for where in ("reset", "step", "render", "made")),
        ("resume", "made"),
    ],
)
def test_what_an_engine_raises_is_told(command, where, still, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(still, "FAULT", [where])
    said = fails(capsys, command, "--run-dir", folder / "run")
    assert said.endswith(f"ZeroDivisionError: the author's fault at {where}\n")
    assert "stands_still.py" in said and "in may_fail" in said
    if where == "made":
        assert "The environment raised when pettingzoo/stands_still was made." in said
    assert not (folder / "episode.gif").exists()


class Asking:
    """A probe that asks Python at its reset and at each step, which may raise."""

    def __init__(self):
        self.inner, self.fault, self.traced = make_env("probe/credit"), "", ""
        self.spec = self.inner.spec

    def reset(self, key):
        if self.traced:
            raise KeyError(self.traced)
        state, seen = self.inner.reset(key)
        return state | {"paid": self.ask("reset")}, seen

    def step(self, key, state, action):
        paid = state.pop("paid")
        state, step = self.inner.step(key, state, action)
        paid = paid + self.ask("step")
        return state | {"paid": paid}, step.replace(reward=step.reward + paid)

    def ask(self, where):
        def answer():
            if self.fault == where:
                raise ZeroDivisionError(f"the author's fault at {where}")
            return np.float32(0)

        shape = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.pure_callback(answer, shape, vmap_method="sequential")

    def frame(self, state):
        return np.zeros((8, 8, 3), np.uint8)


@pytest.fixture
def asking(monkeypatch):
    """In place of the probe."""
    environment = Asking()
    for module in ("trainer", "resuming", "evaluate_run"):
        monkeypatch.setattr(f"opspo.training.{module}.make_env", lambda env: environment)
    monkeypatch.setattr("opspo.rendering.film.make_env", lambda env: environment)
    return environment


def test_what_a_callback_raises_is_told(asking, tmp_path, capsys, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    main(["train", "--env", "probe/credit", *SMALL, "--run-dir", str(run)])
    for where in ("reset", "step"):
        asking.fault = where
        for command in ("eval", "watch"):
            said = fails(capsys, command, "--run-dir", run)
            assert said.startswith(("opspo: An episode failed.\n", "opspo: The episode failed.\n"))
            assert said.endswith(f"ZeroDivisionError: the author's fault at {where}\n")
            assert "in answer" in said
    assert not caplog.records  # JAX logs a traceback besides, which would come between
    with pytest.raises(EngineError, match="the author's fault at step"):
        evaluate_run(run, episodes=2, seed=0, environment=asking)


def test_so_it_is_where_no_run_has_begun_yet(asking, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, asking.fault = tmp_path / "run", "reset"
    flags = ["--env", "probe/credit", *SMALL, "--run-dir", run]
    said = fails(capsys, "train", *flags)
    assert "ZeroDivisionError: the author's fault at reset\nNothing is learned yet" in said
    assert said.startswith("opspo: The run could not begin.\n") and "in answer" in said
    with pytest.raises(TrainingError, match="--overwrite"):
        opspo.train(opspo.default_config("probe/credit", "mappo"), environment=asking)
    asking.fault = ""
    main(["train", *map(str, flags), "--overwrite"])
    # and where it raises as it is compiled, which a resume is the first to do here
    asking.traced = "no such map"
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    said = fails(capsys, "resume", "--run-dir", run)
    assert "KeyError: 'no such map'\nNothing is changed" in said and "in reset" in said
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before

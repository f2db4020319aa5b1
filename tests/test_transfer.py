"""A new run from another's parameters: what carries over plays as it did, and the rest is said."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reach import Reach
from small import small_config

import opspo
from opspo.cli import main
from opspo.errors import RunError
from opspo.training.assembly import make_learner
from opspo.training.resuming import resume
from opspo.training.trainer import train, train_seeds
from opspo.training.transfer import read_source, transfer

pytestmark = pytest.mark.slow

NAMES = ("left", "right")


def config_of(*, algo="opspo", shared=True, steps=512, run_dir="", seed=0, critic=None, **policy):
    own = {} if critic is None else {"critic": critic}
    config = small_config("own/reach", algo, shared=shared, seed=seed, **own)
    defaults = {"agent_id": True, "running_normalisation": True}
    policy = dataclasses.replace(config.policy, **defaults | policy)
    return dataclasses.replace(config, policy=policy, total_steps=steps, run_dir=str(run_dir))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs by kind, trained when they are first asked for."""
    path, kinds = tmp_path_factory.mktemp("sources"), {}

    def run(**kind):
        name = "-".join(f"{k}={v}" for k, v in sorted(kind.items())) or "default"
        if name not in kinds:
            kinds[name] = path / name.replace(" ", "")
            train(config_of(run_dir=kinds[name], **kind), environment=Reach(agents=NAMES))
        return kinds[name]

    return run


def begun(run, config, environment=None):
    """The transfer, the first state of a new run, and its learner."""
    learner = make_learner(config, environment or Reach(agents=NAMES))
    found = transfer(read_source(run, "latest"), learner)
    return found, found.apply(learner.init(config.seed)), learner


def outputs(members, params, inputs):
    """What a team or critic gives for inputs [C, N, d], from no memory."""
    memory = members.initial_memory(len(inputs))
    return members.unroll(params, inputs[None], memory, jnp.zeros((1, len(inputs)), bool))[0][0]


def inputs_of(learner, observation, *, ids):
    numbers = jnp.broadcast_to(jnp.eye(2), (*observation.shape[:-1], 2))
    return jnp.concatenate([observation, numbers], axis=-1) if ids else observation


OBSERVATION = jax.random.normal(jax.random.PRNGKey(7), (5, 2, 2))


def source_of(run, kind):
    """The source's learner and its last state."""
    from opspo.checkpoint import Checkpoints

    config = config_of(**kind)
    learner = make_learner(config, Reach(agents=NAMES))
    checkpoints = Checkpoints(run / "checkpoints")
    state = checkpoints.restore(2, jax.eval_shape(learner.init, 0))
    return learner, state


@pytest.mark.parametrize(
    "kind", [{}, {"shared": False}, pytest.param({"recurrent": True}, marks=pytest.mark.full)]
)
def test_all_that_was_learned_carries_over_and_nothing_else(runs, kind):
    """To another algorithm, with another seed."""
    run = runs(**kind)
    found, state, learner = begun(run, config_of(**kind, algo="mappo", seed=5))
    assert not found.fresh and not found.unused
    _, source = source_of(run, kind)
    for part in ("actor", "critic", "value_statistics"):
        same = jax.tree.map(np.array_equal, getattr(state, part), getattr(source, part))
        assert all(jax.tree.leaves(same)), part
    fresh = learner.init(5)
    for part in ("actor_optimiser", "critic_optimiser", "key", "iteration", "rollout"):
        same = jax.tree.map(np.array_equal, getattr(state, part), getattr(fresh, part))
        assert all(jax.tree.leaves(same)), part
    assert not np.array_equal(
        fresh.critic["params"]["Dense_0"]["kernel"], source.critic["params"]["Dense_0"]["kernel"]
    )


@pytest.mark.parametrize(
    "kind",
    [
        {"critic": "local"},
        pytest.param({"critic": "local", "recurrent": True}, marks=pytest.mark.full),
        {"critic": "local", "agent_id": False},
        {"critic": "local", "running_normalisation": False, "layer_norm": False},
    ],
)
def test_a_shared_network_is_given_to_each_agent(runs, kind):
    """Each plays and values as the shared one did for it; its number is in the bias."""
    learner, source = source_of(runs(**kind), kind)
    found, state, apart = begun(runs(**kind), config_of(**kind, shared=False))
    assert not found.fresh
    ids = kind.get("agent_id", True)
    seen, plain = inputs_of(learner, OBSERVATION, ids=ids), OBSERVATION
    for was, now, params, new in (
        (learner.team, apart.team, source.actor, state.actor),
        (learner.critic, apart.critic, source.critic, state.critic),
    ):
        expected = outputs(was, params, seen)
        np.testing.assert_allclose(outputs(now, new, plain), expected, rtol=1e-4, atol=1e-5)
        if ids:  # the test can see the number
            assert not np.allclose(expected, outputs(was, params, seen[..., [0, 1, 3, 2]]))


def test_a_layer_norm_over_the_number_cannot_be_taken_apart(runs):
    kind = {"running_normalisation": False}
    found, *_ = begun(runs(**kind), config_of(**kind, shared=False))
    assert list(found.fresh) == ["actor.params.torso.Dense_0"]


@pytest.mark.parametrize("shared", [True, False])
def test_agents_keep_what_was_theirs_by_their_names(runs, shared):
    kind = {"shared": shared}
    learner, source = source_of(runs(**kind), kind)
    swapped = Reach(agents=NAMES[::-1])
    found, state, other = begun(runs(**kind), config_of(**kind), swapped)
    assert not found.fresh
    expected = outputs(learner.team, source.actor, inputs_of(learner, OBSERVATION, ids=shared))
    seen = inputs_of(other, OBSERVATION[:, ::-1], ids=shared)
    np.testing.assert_allclose(
        outputs(other.team, state.actor, seen)[:, ::-1], expected, rtol=1e-4, atol=1e-5
    )
    unknown = Reach(agents=("top", "bottom"))  # these go by their order
    found, state, other = begun(runs(**kind), config_of(**kind), unknown)
    seen = inputs_of(other, OBSERVATION, ids=shared)
    np.testing.assert_allclose(outputs(other.team, state.actor, seen), expected, atol=1e-6)


def test_names_and_separate_parameters_go_together(runs):
    """From shared, with numbers, in another order, to separate."""
    learner, source = source_of(runs(), {})
    _, state, other = begun(runs(), config_of(shared=False), Reach(agents=NAMES[::-1]))
    expected = outputs(learner.team, source.actor, inputs_of(learner, OBSERVATION, ids=True))
    found = outputs(other.team, state.actor, OBSERVATION[:, ::-1])[:, ::-1]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_separate_networks_do_not_become_one(runs):
    with pytest.raises(RunError, match=r"separate parameters .* no single set.*--no-policy"):
        begun(runs(shared=False), config_of())


def test_another_map_takes_whole_layers(runs):
    """A bias of the same shape does not come without its kernel."""
    wider = Reach(observation_size=3, state_size=6, agents=NAMES)
    found, state, learner = begun(runs(), config_of(), _like(wider))
    first = {f"{part}.params.torso.Dense_0" for part in ("actor", "critic")}
    first |= {f"{part}.statistics.torso.input" for part in ("actor", "critic")}
    assert set(found.fresh) == first
    why = found.fresh["actor.params.torso.Dense_0"]
    assert why == "kernel has shape [4, 32] there and [5, 32] here"
    assert "actor.params.Dense_0" in found.taken and "value_statistics" in found.taken
    fresh = learner.init(0)
    same = np.array_equal(
        state.actor["params"]["torso"]["Dense_0"]["bias"],
        fresh.actor["params"]["torso"]["Dense_0"]["bias"],
    )
    assert same


def _like(environment):
    """`Reach` whose arrays have the sizes that it says."""
    spec = environment.spec

    class Wider(Reach):
        def _see(self, state):
            seen = super()._see(state)
            more = spec.observation_size - 2
            observation = jnp.pad(seen.observation, ((0, 0), (0, more)))
            return seen.replace(
                observation=observation, state=jnp.pad(seen.state, (0, spec.state_size - 4))
            )

    wider = Wider()
    wider.spec = spec
    return wider


def test_another_kind_of_critic_starts_fresh_with_its_unit(runs):
    found, state, learner = begun(runs(), config_of(algo="ippo", critic="local"))
    assert found.fresh["critic.params.Dense_0"] == "the critic was central and is local"
    assert "value_statistics" in found.fresh
    assert not any(name.startswith("critic") for name in found.arrays)
    fresh = learner.init(0).value_statistics
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, state.value_statistics, fresh)))


def test_layers_that_the_new_run_has_no_place_for_are_said(runs):
    found, *_ = begun(runs(hidden_sizes=(32, 32)), config_of())
    assert set(found.unused) == {"actor.params.torso.Dense_1", "critic.params.torso.Dense_1"}
    assert "policy.hidden_sizes was [32, 32] there, and is [32] now" in found.changed


def test_nothing_that_fits_is_an_error_and_writes_nothing(runs, tmp_path):
    config = config_of(hidden_sizes=(16,), run_dir=tmp_path / "new")
    says = (
        r"No layer of .* fits.*policy\.hidden_sizes was \[32\] there, and is \[16\] now.*--from-c"
    )
    with pytest.raises(RunError, match=says):
        train(config, environment=Reach(agents=NAMES), init_from=runs())
    assert not (tmp_path / "new").exists()


def test_the_new_run_starts_there_and_keeps_a_record(runs, tmp_path, capsys):
    """With a step size of nothing, it plays at its end as the source did."""
    kind = {"running_normalisation": False}
    config = config_of(**kind, algo="happo", seed=3, run_dir=tmp_path / "new", steps=256)
    optimiser = dataclasses.replace(
        config.optimiser, actor_learning_rate=1e-12, critic_learning_rate=1e-12
    )
    config = dataclasses.replace(config, optimiser=optimiser)
    opspo.train(config, environment=Reach(agents=NAMES), init_from=runs(**kind))
    seen = np.asarray(OBSERVATION)
    played = opspo.load_policy(tmp_path / "new").act(seen)
    np.testing.assert_allclose(played, opspo.load_policy(runs(**kind)).act(seen), atol=1e-6)
    record = json.loads((tmp_path / "new" / "init.json").read_text())
    assert (record["run"], record["checkpoint"]) == (str(runs(**kind)), 2)
    assert (record["algo"], record["fresh"]) == ("opspo", {})
    assert "actor.params.Dense_0" in record["taken"]
    assert "checkpoint 2: " in " ".join(capsys.readouterr().out.split())


def test_every_seed_starts_from_the_same(runs, tmp_path):
    """Side by side: each gets its own copy, which its training uses up."""
    config = config_of(run_dir=tmp_path / "many", steps=256)
    train_seeds(config, [0, 1], environment=Reach(agents=NAMES), init_from=runs())
    records = [json.loads(p.read_text()) for p in sorted((tmp_path / "many").rglob("init.json"))]
    assert len(records) == 2 and records[0] == records[1]
    one = config_of(run_dir=tmp_path / "one", steps=256, seed=1)
    train(one, environment=Reach(agents=NAMES), init_from=runs())
    pairs = [tmp_path / "one", tmp_path / "many" / "seed1"]
    alone, beside = (jax.tree.leaves(opspo.load_policy(path).params) for path in pairs)
    for one_array, other in zip(alone, beside, strict=True):
        # a program for several seeds may sum in another order
        np.testing.assert_allclose(one_array, other, atol=1e-5)


def test_an_edited_config_is_not_believed(runs, tmp_path):
    """What the source's arrays are is what they were when they were written."""
    copy = tmp_path / "copy"
    shutil.copytree(runs(), copy)
    text = (copy / "config.json").read_text()
    edited = text.replace('"share_parameters": true', '"share_parameters": false')
    assert edited != text
    (copy / "config.json").write_text(edited)
    found, *_ = begun(copy, config_of())
    assert not found.fresh


def test_a_run_does_not_replace_its_own_source(runs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(runs(), copy)
    config = config_of(run_dir=copy)
    with pytest.raises(RunError, match="would replace the run that it is to start from"):
        train(config, environment=Reach(agents=NAMES), init_from=copy, overwrite=True)
    assert opspo.load_policy(copy)


def test_overwriting_takes_the_record_away(runs, tmp_path):
    config = config_of(run_dir=tmp_path / "new", steps=256)
    train(config, environment=Reach(agents=NAMES), init_from=runs())
    train(config, environment=Reach(agents=NAMES), overwrite=True)
    assert not (tmp_path / "new" / "init.json").exists()


def test_starting_again_says_from_where(runs, tmp_path):
    """A run that was killed before its first checkpoint."""
    config = config_of(run_dir=tmp_path / "new", steps=256)
    train(config, environment=Reach(agents=NAMES), init_from=runs())
    shutil.rmtree(tmp_path / "new" / "checkpoints")
    with pytest.raises(RunError, match=rf"--init-from {runs()}"):
        resume(tmp_path / "new", environment=Reach(agents=NAMES))


SMALL = [
    *("--env", "probe/credit", "--total-steps", "64", "--no-tensorboard"),
    *("--rollout.num-envs", "4", "--rollout.num-steps", "8", "--policy.hidden-sizes", "16"),
    *("--evaluation.final-episodes", "0", "--evaluation.every-steps", "0"),
]


def test_on_the_command_line(tmp_path, capsys):
    source, new = str(tmp_path / "source"), str(tmp_path / "new")
    main(["train", *SMALL, "--run-dir", source])
    start = ["--init-from", source, "--run-dir", new, "--env", "probe/memory"]
    main(["train", *SMALL[2:], *start, "--algo", "mappo"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "fresh: actor.params.torso.Dense_0: kernel has shape" in shown
    assert json.loads((tmp_path / "new" / "init.json").read_text())["checkpoint"] == 2
    for wrong, says in (
        (["--init-from", str(tmp_path / "nowhere")], "not a run folder"),
        ([*start[:2], "--init-checkpoint", "77"], "no checkpoint 77"),
        ([*start[:2], "--init-checkpoint", "lates"], "Did you mean 'latest'"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["train", *SMALL, *wrong, "--run-dir", str(tmp_path / "third")])
        assert stop.value.code == 2 and says in " ".join(capsys.readouterr().err.split())
        assert not (tmp_path / "third").exists()


def test_a_source_of_the_first_format(tmp_path):
    """Written before checkpoints kept their settings."""
    from pathlib import Path

    old = Path(__file__).parent / "data" / "format1" / "reach"
    config = config_of(
        shared=False, hidden_sizes=(4,), running_normalisation=False, run_dir=tmp_path
    )
    found, *_ = begun(old, config)
    assert not found.fresh

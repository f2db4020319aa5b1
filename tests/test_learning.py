"""The conformance table: what every algorithm must do.

An entry is an algorithm, parameters shared or separate, networks without or with memory, actions
discrete or continuous. Each trains for seconds on probes whose optimum is known. Over three
seeds (0, 1, 2) every entry with discrete actions was at the optimum exactly, most already after
half of the iterations; the largest errors seen are given beside the tolerances.
"""

import dataclasses

import jax
import numpy as np
import pytest
from arcade import DISCRETE, THE_DEAD, THE_LIVING, machine, probe_of
from small import learner_of, run, small_config

from opspo.algorithms import ALGORITHMS, DensityConfig
from opspo.checkpoint import Checkpoints
from opspo.evaluate import make_evaluator

NAMES = sorted(ALGORITHMS)
QUICK = {"mappo", "opspo"}
"""One of each schedule: in `make test-quick` without memory, in every run of the tests with it. All
are in `make test-full`."""
SHARING = pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])


def entry(algo, shared, recurrent, continuous):
    names = (
        algo,
        "shared" if shared else "separate",
        "gru" if recurrent else "mlp",
        "continuous" if continuous else "discrete",
    )
    settings = {"shared": shared, "recurrent": recurrent, "continuous": continuous}
    marks = pytest.mark.full if recurrent and (continuous or algo not in QUICK) else ()
    return pytest.param((algo, settings), id="-".join(names), marks=marks)


TABLE = [
    entry(algo, shared, *networks)
    for networks in [(False, False), (False, True), (True, False)]
    for shared in (True, False)
    for algo in NAMES
] + [
    # recurrent and continuous: a covering few
    entry("a2po", True, True, True),
    entry("coppo", False, True, True),
    entry("ippo", True, True, True),
    entry("opspo", False, True, True),
]
EVERY_ENTRY = pytest.mark.parametrize("which", TABLE)


def games_of(settings):
    if settings["continuous"]:
        return ["continuous"]
    if settings["recurrent"]:
        return ["memory"]
    return [game for game in DISCRETE if game != "memory"]


def marks_of(which, game):
    quick = which.id in {f"{algo}-separate-mlp-discrete" for algo in QUICK} and game == "credit"
    return [*which.marks, *([pytest.mark.quick] if quick else [])]


LESSONS = [
    pytest.param(which.values[0], game, id=f"{which.id}-{game}", marks=marks_of(which, game))
    for which in TABLE
    for game in games_of(which.values[0][1])
]

ITERATIONS = 40
TOLERANCE = {"continuous": 0.1}  # 0.014
VALUE_AT_START = {
    # the critic neither looks past a termination nor takes a truncation for one: staying for
    # ever is worth 1 / (1 - γ)
    "termination": 1 + 0.9 + 0.9**2 * 2.5,
    "truncation": 1 / (1 - 0.9),
    "coordination": 1.0,
    "credit": 0.9**5,
    "death": 1 + 0.9 + 0.9**2 + 0.9**3,
}


@pytest.mark.slow
@pytest.mark.parametrize(("which", "game"), LESSONS)
def test_learns_the_optimum_and_its_value(which, game):
    algo, settings = which
    play = machine(algo, **settings)
    state, _ = play.train(game, play.init(game), ITERATIONS)
    optimum = probe_of(game).optimal_return
    assert play.greedy_return(game, state) == pytest.approx(optimum, abs=TOLERANCE.get(game, 0.02))
    if game in VALUE_AT_START and not settings["recurrent"]:
        value = play.value_at_start(game, state)
        assert value == pytest.approx(VALUE_AT_START[game], rel=0.1)  # 0.019


def arrays_differ(left, right):
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return any(not np.array_equal(a, b) for a, b in pairs)


@EVERY_ENTRY
def test_ignores_what_dead_agents_see_and_do(which):
    """Noise in the eyes of the dead, and a free choice of actions, change nothing."""
    algo, settings = which
    play = machine(algo, **settings)
    game = "mortal" if settings["continuous"] else "death"

    def learned(**who):
        state, _ = play.train(game, play.init(game, **who), 3, **who)
        kept = ("actor", "critic", "actor_optimiser", "critic_optimiser", "critic_memory")
        return [getattr(state, name) for name in (*kept, "value_statistics")]

    plain = learned()
    assert not arrays_differ(plain, learned(scrambled=THE_DEAD))
    assert arrays_differ(plain, learned(scrambled=THE_LIVING)), (
        "the comparison must be able to fail"
    )


def through_a_checkpoint(state, folder):
    store = Checkpoints(folder)
    store.save(2, state)
    return store.restore(2, jax.eval_shape(lambda x: x, state))


@EVERY_ENTRY
def test_is_deterministic_resumes_exactly_and_compiles_once(which, tmp_path):
    """Four iterations, and again two, a checkpoint, two: the same state bit for bit."""
    algo, settings = which
    play = machine(algo, **settings)
    game = play.games[0]
    whole, _ = play.train(game, play.init(game, 3), 4)
    half, _ = play.train(game, play.init(game, 3), 2)
    resumed, _ = play.train(game, through_a_checkpoint(half, tmp_path), 2)
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)
    other, _ = play.train(game, play.init(game, 4), 2)
    assert arrays_differ(half.actor, other.actor), "seeds give different runs"
    assert play.compilations == 1


@pytest.mark.slow
def test_memory_is_out_of_reach_without_memory():
    play = machine("opspo", shared=True)
    state, _ = play.train("memory", play.init("memory"), 40)
    assert play.greedy_return("memory", state) < 0.7


def greedy_return(config, state):
    learner, _ = learner_of(dataclasses.replace(config, seed=0))
    evaluator = make_evaluator(learner.environment, learner.team, episodes=64, greedy=True)
    return np.mean(evaluator(state.actor, 5).returns)


DENSITY = DensityConfig(iterations=3, samples=64, outer_steps=3, inner_steps=2, hidden_sizes=(16,))


@pytest.mark.slow
@pytest.mark.parametrize(
    "state_weight",
    ["none", "stepwise_inclusive", "stepwise_printed", "linear", "kernel", "minimax"],
)
def test_every_state_weight_learns_and_resumes_exactly(state_weight, tmp_path):
    """Separate parameters. `minimax` and `kernel` keep networks and a ring of iterations."""
    config = small_config(
        "probe/credit", "opspo", shared=False, state_weight=state_weight, density=DENSITY
    )
    whole, _ = run(config, 4)
    half, _ = run(config, 2)
    resumed, _ = run(config, 2, through_a_checkpoint(half, tmp_path))
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)
    assert bool(jax.tree.leaves(whole.state_weight)) == (state_weight in ("kernel", "minimax"))
    state, _ = run(config, 36, whole)
    assert greedy_return(config, state) == pytest.approx(1.0, abs=0.02)


@pytest.mark.slow
@SHARING
def test_running_statistics_are_part_of_the_checkpoint(shared, tmp_path):
    config = small_config("probe/credit", shared=shared)
    policy = dataclasses.replace(config.policy, running_normalisation=True)
    config = dataclasses.replace(config, policy=policy)
    whole, _ = run(config, 4)
    half, _ = run(config, 2)
    resumed, _ = run(config, 2, through_a_checkpoint(half, tmp_path))
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)
    samples = 4 * config.steps_per_iteration
    for network, each in ((whole.actor, 2 if shared else 1), (whole.critic, 1)):
        counts = np.asarray(network["statistics"]["torso"]["input"]["count"])
        assert (counts == each * samples).all()
    state, _ = run(config, 36, whole)
    assert greedy_return(config, state) == pytest.approx(1.0, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("recurrent", [False, True])
def test_minibatches_and_memory_go_together(recurrent):
    config = small_config("probe/credit", recurrent=recurrent, minibatches=4)
    state, history = run(config, 25)
    assert greedy_return(config, state) == pytest.approx(1.0, abs=0.02)
    assert set(history[-1]["positions"]) >= {"kl", "others_log_ratio_abs", "state_weight_ess"}


@pytest.mark.slow
@SHARING
def test_the_critic_behind_all_agents_learns_and_resumes_exactly(shared, tmp_path):
    config = small_config("probe/credit", "happo", shared=shared, minibatches=2, critic_epochs=5)
    whole, _ = run(config, 4)
    half, _ = run(config, 2)
    resumed, _ = run(config, 2, through_a_checkpoint(half, tmp_path))
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)
    state, history = run(config, 36, whole)
    assert greedy_return(config, state) == pytest.approx(1.0, abs=0.02)
    assert history[-1]["losses"]["value_loss"] < history[0]["losses"]["value_loss"]


@SHARING
def test_first_position_is_on_policy_and_later_ones_are_not(shared):
    """The diagnostics show the off-policyness that the method is about."""
    config = small_config("probe/credit", shared=shared, epochs=1 if shared else 5)
    _, history = run(config, 3)
    drift = np.array([m["positions"]["others_log_ratio_abs"] for m in history])
    size = np.array([m["positions"]["others_ratio_ess"] for m in history])
    assert drift.shape == (3, 2)
    assert (drift[:, 0] == 0).all() and (drift[:, 1] > 0).all()
    np.testing.assert_allclose(size[:, 0], 1.0, rtol=1e-6)
    assert (size[:, 1] < 1).all()
    # of each gradient step's beginning: the first of all is where the data come from
    kl = np.array([m["positions"]["kl"] for m in history])
    assert (kl[:, 1] > 0).all() and (kl[:, 0] > (-1e-6 if shared else 0)).all()


@pytest.mark.slow
@pytest.mark.parametrize("state_weight", ["minimax", "kernel"])
@pytest.mark.parametrize(
    ("equation", "game"),
    [
        ("stationary", "death"),
        ("discounted", "termination"),
        pytest.param("discounted", "death", marks=pytest.mark.full),
        pytest.param("stationary", "termination", marks=pytest.mark.full),
    ],
)
def test_the_first_agents_weight_is_one_and_others_are_learned(state_weight, equation, game):
    """Through whole iterations, past the ring's first round.

    Among the mortal, what an agent does hardly moves where the states go, so that 1 is right for
    the second agent too; where ending the episode is a choice, it moves them.
    """
    config = small_config(
        f"probe/{game}",
        shared=False,
        state_weight=state_weight,
        density=DensityConfig(iterations=3, samples=32, equation=equation),
    )
    _, history = run(config, 5)
    size = np.array([row["positions"]["state_weight_ess"] for row in history])
    np.testing.assert_allclose(size[:, 0], 1, rtol=1e-6)
    assert size[:, 1].min() > 0.3
    if game == "termination":
        assert size[:, 1].min() < 0.998  # on two seeds at most 0.9963

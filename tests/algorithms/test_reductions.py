"""Whole updates that must coincide, or equal a plain implementation written out in the oracles.

Everything is in 64 bits, so that two ways of adding up differ by rounding only.
"""

from functools import cache
from operator import itemgetter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import training as oracle
from small import alike, collect, learn, small_config

from opspo.algorithms import ALGORITHMS
from opspo.environments import make_env
from opspo.environments.base import EnvironmentSpec, Observation, Step
from opspo.estimators.normalise import mean_and_deviation
from opspo.training.assembly import make_learner

NAMES = sorted(ALGORITHMS)
OFF = {"advantage": "gae", "state_weight": "none", "clip_range": "ppo"}
SHARING = pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


class Solo:
    """One agent that guesses the sign of what it sees; three steps to an episode."""

    spec = EnvironmentSpec(
        name="probe/solo",
        num_agents=1,
        observation_size=2,
        state_size=2,
        num_actions=2,
        episode_limit=3,
    )

    def reset(self, key):
        x = jax.random.normal(key, (2,))
        return {"x": x, "t": jnp.array(0)}, self._seen(x)

    def _seen(self, x):
        return Observation(
            observation=x[None],
            state=x,
            available_actions=jnp.ones((1, 2), bool),
            alive=jnp.ones(1, bool),
        )

    def step(self, key, state, action):
        right = (state["x"][0] > 0) == (action[0] == 1)
        x, t = jax.random.normal(key, (2,)), state["t"] + 1
        return {"x": x, "t": t}, Step(
            observation=self._seen(x),
            reward=right * 1.0,
            terminated=t == 3,
            truncated=jnp.array(False),
            win=jnp.array(False),
        )


SOLO = Solo()


def wide(tree):
    return jax.tree.map(lambda x: x.astype(float) if x.dtype == jnp.float32 else x, tree)


@cache
def begun(config, environment):
    """A state and a batch of experience, in 64 bits."""
    learner = make_learner(config, environment or make_env(config.env))
    state = jax.jit(learner.init)(0)
    trajectory = jax.jit(lambda s: collect(learner, s))(state)
    return wide(state), wide(trajectory)


def prepare(config, environment=None):
    """Learner, state and a batch of experience, in 64 bits."""
    learner = make_learner(config, environment or make_env(config.env))
    return learner, *begun(alike(config), environment)


def update(learner, state, trajectory):
    run = jax.jit(lambda s, t: learn(learner, s, t))
    return run(state, trajectory)


@cache
def updated(algo, probe="credit", **settings):
    """Kept, since several tests compare with the same update."""
    return update(*prepare(small_config(f"probe/{probe}", algo, **settings)))


def assert_close(left, right):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9), left, right)


def distance(left, right):
    gaps = jax.tree.map(lambda a, b: np.abs(np.subtract(a, b)).max(), left, right)
    return max(jax.tree.leaves(gaps))


def members(params, shared, count):
    """A list of one set of parameters, or of each member's."""
    if shared:
        return [params]
    return [jax.tree.map(itemgetter(i), params) for i in range(count)]


def written_out(learner, state, trajectory, gain):
    """What the oracle makes of the same start and experience."""
    team, critic = learner.team, learner.critic

    def train(state, trajectory):
        batch, statistics, _ = learner.valued(state, trajectory)
        return oracle.train(
            learner,
            members(state.actor, team.shared, team.num_members),
            members(state.critic, critic.shared, critic.num_members),
            batch,
            learner._gae(batch),
            gain,
            mean_and_deviation(statistics),
            epochs=learner.config.algorithm.epochs,
        )

    return jax.jit(train)(state, trajectory)


def assert_is_written_out(learner, state, trajectory, gain):
    learned = update(learner, state, trajectory)
    assert distance(learned.actor["params"], state.actor["params"]) > 1e-3  # it went somewhere
    actors, critics = written_out(learner, state, trajectory, gain)
    team, critic = learner.team, learner.critic
    assert_close(moved_by_steps(learned.actor, team), [each["params"] for each in actors])
    assert_close(moved_by_steps(learned.critic, critic), [each["params"] for each in critics])


def moved_by_steps(params, network):
    """Each member's parameters without its inputs' running statistics."""
    return members(params["params"], network.shared, network.num_members)


@pytest.mark.parametrize(
    "shared",
    [pytest.param(True, marks=pytest.mark.quick), False],
    ids=["shared", "separate"],
)
@pytest.mark.parametrize("algo", NAMES)
def test_with_one_agent_every_algorithm_is_ppo(algo, shared):
    """No team-mates, nothing to correct; IPPO's observation is the state here."""
    config = small_config("probe/credit", algo, shared=shared, epochs=3)
    assert_is_written_out(*prepare(config, SOLO), oracle.ppo_gain)


@SHARING
@pytest.mark.parametrize(("algo", "gain"), [("mappo", "ppo"), ("ippo", "ppo"), ("coppo", "coppo")])
def test_simultaneous_algorithms_are_their_papers_written_out(algo, gain, shared):
    """With a dead agent among them, whose policy moves and must not count. CoPPO's g is taken
    anew at each of the four steps."""
    config = small_config("probe/death", algo, shared=shared, epochs=4)
    learner, state, trajectory = prepare(config)
    trajectory = trajectory.replace(  # else the dead have one action only, of ratio 1
        available_actions=trajectory.available_actions | ~trajectory.alive[..., None]
    )
    gains = {"ppo": oracle.ppo_gain, "coppo": oracle.coppo_gain}
    assert_is_written_out(learner, state, trajectory, gains[gain])


def test_coppos_moving_ratio_matters():
    """Were g that of the start of the update (1), the result would be another."""
    prepared = prepare(small_config("probe/death", "coppo", epochs=4))
    (live,), _ = written_out(*prepared, oracle.coppo_gain)
    (frozen,), _ = written_out(*prepared, oracle.ppo_gain)
    assert distance(live, frozen) > 1e-4


@SHARING
def test_mappo_with_the_double_clip_is_coppo(shared):
    left = updated("mappo", shared=shared, clip_range="double")
    right = updated("coppo", shared=shared)
    assert_close(left, right)
    assert distance(left.actor, updated("mappo", shared=shared).actor) > 1e-4


@SHARING
def test_happo_with_the_trace_and_the_double_clip_in_that_order_is_a2po(shared):
    pieces = {"advantage": "trace", "clip_range": "double_by_position", "order": "semi_greedy"}
    right = updated("a2po", shared=shared)
    assert_close(updated("happo", shared=shared, **pieces), right)
    for name in pieces:
        others = {key: value for key, value in pieces.items() if key != name}
        if name != "order":  # which may come out the same by chance
            assert distance(updated("happo", shared=shared, **others).actor, right.actor) > 1e-4


def test_opspo_without_corrections_in_one_block_is_mappo():
    """One block of all agents, every epoch anew: the schedule alone changes nothing."""
    assert_close(updated("opspo", blocks=1, **OFF), updated("mappo"))


def test_opspo_without_corrections_is_sequential_ppo():
    """Separate parameters: each agent's actor is where PPO on its data alone takes it."""
    sequential = updated("opspo", shared=False, order="cyclic", **OFF)
    assert_close(sequential.actor, updated("mappo", shared=False).actor)
    assert steps(sequential.critic_optimiser) == 2 * 5  # the critic learns with every agent


def steps(optimiser):
    """Adam's count, of one member where there are several."""
    return int(np.ravel(jax.tree.leaves(optimiser)[0])[0])


def test_corrections_change_the_second_agent_and_not_the_first():
    """Agent 0 is on-policy: r̃ = ω = 1, the range is 1 ± ε1 and the trace is GAE."""
    settings = {"shared": False, "order": "cyclic"}
    plain = updated("opspo", **settings, **OFF).actor
    full = updated("opspo", **settings).actor
    (first, second), (first_full, second_full) = members(plain, False, 2), members(full, False, 2)
    assert_close(first, first_full)
    assert distance(second, second_full) > 1e-4


@pytest.mark.parametrize(
    "algo",
    [
        "opspo",
        pytest.param("happo", marks=pytest.mark.full),
        pytest.param("a2po", marks=pytest.mark.full),
    ],
)
def test_preceding_and_others_are_the_same_only_with_separate_parameters(algo):
    preceding = {"trace_agents": "preceding", "weight_agents": "preceding"}
    separate = {"shared": False, "order": "cyclic"}
    assert_close(updated(algo, **separate, **preceding), updated(algo, **separate))
    blocks = {"blocks": 2, "cumulative_blocks": False}
    assert (
        distance(updated(algo, **blocks, **preceding).actor, updated(algo, **blocks).actor) > 1e-4
    )


@pytest.mark.parametrize(("algo", "shared"), [("mappo", True), ("ippo", False), ("a2po", True)])
def test_extra_critic_passes_are_the_critics_alone(algo, shared):
    plain = updated(algo, shared=shared)
    extra = updated(algo, shared=shared, extra_critic_passes=1)
    assert steps(extra.critic_optimiser) == 2 * steps(plain.critic_optimiser) > 0
    assert steps(extra.actor_optimiser) == steps(plain.actor_optimiser) > 0
    assert_close(extra.actor, plain.actor)  # the batch's values are those at collection
    assert distance(extra.critic, plain.critic) > 1e-4


@SHARING
@pytest.mark.parametrize("critic", ["central", "local"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param({"advantage": "trace", "value_target": "gae"}, marks=pytest.mark.full),
    ],
)
def test_the_critic_behind_all_agents_is_trained_as_mappos(shared, critic, settings):
    """The same passes over the same targets; and the agents do not see the difference."""
    prepared = {"probe": "death", "shared": shared, "critic": critic, "minibatches": 1}
    with_each = updated("happo", **prepared, **settings)
    behind = updated("happo", **prepared, **settings, critic_epochs=7)
    assert_close(behind.actor, with_each.actor)
    mappo = updated("mappo", **prepared, epochs=7)
    assert_close(behind.critic, mappo.critic)
    assert steps(behind.critic_optimiser) == 7


def test_two_minibatches_of_everything_are_two_half_steps():
    """Both halves of the chunks are used: the step count doubles and the result moves."""
    settings = {"epochs": 1, **OFF, "blocks": 1}
    whole, halves = (updated("opspo", minibatches=m, **settings) for m in (1, 2))
    assert (steps(whole.actor_optimiser), steps(halves.actor_optimiser)) == (1, 2)
    assert distance(whole.actor, halves.actor) > 1e-4

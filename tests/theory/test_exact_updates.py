"""The exact algorithms: their objectives in plain loops, their maxima by search, what they do to J.

Oracles take NumPy policies; the objective of one sample is as its paper prints it.
"""

import ast
import itertools
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import corrections as printed
from oracles.density_ratio import visits

from opspo.algorithms import ALGORITHMS, A2POConfig, HAPPOConfig, IPPOConfig, MAPPOConfig
from opspo.errors import ConfigError
from opspo.theory import comparison, exact_forms, exact_updates, games, tabular
from opspo.theory.exact_forms import UPDATES
from opspo.theory.exact_updates import Numbers

STATES, AGENTS, ACTIONS = 2, 3, 2
NUMBERS = Numbers(gamma=0.8, gae_lambda=0.9, clip=0.2, others_clip=0.08)
EPS1, EPS2 = NUMBERS.clip, NUMBERS.others_clip
SIMULTANEOUS, SEQUENTIAL = ("mappo", "coppo"), ("happo", "a2po", "opspo")
ORDER = (2, 0, 1)


@pytest.fixture
def problem():
    """A game, logits of its team, and where they have moved: far enough to be clipped."""
    rng = np.random.default_rng(3)
    old, step = rng.normal(size=(2, AGENTS, STATES, ACTIONS))
    joint = ACTIONS**AGENTS
    game = tabular.Game(
        transition=jnp.asarray(softmax(rng.normal(size=(STATES, joint, STATES)))),
        initial=jnp.asarray(softmax(rng.normal(size=STATES))),
        reward=jnp.asarray(rng.normal(size=(STATES, joint))),
    )
    return game, jnp.asarray(old), jnp.asarray(old + 0.4 * step)


@partial(jax.jit, static_argnames=("name", "numbers"))
def update(name, game, logits, order=ORDER, numbers=NUMBERS):
    return UPDATES[name](game, logits, jnp.asarray(order), numbers)


def plain(game):
    return SimpleNamespace(**{name: np.asarray(x) for name, x in vars(game).items()})


def softmax(logits):
    raised = np.exp(np.asarray(logits))
    return raised / raised.sum(axis=-1, keepdims=True)


def joint_actions(policies):
    return list(enumerate(itertools.product(range(policies.shape[2]), repeat=len(policies))))


def product(policies):
    joint = np.ones((policies.shape[1], policies.shape[2] ** len(policies)))
    for x, action in joint_actions(policies):
        for i, a in enumerate(action):
            joint[:, x] *= policies[i, :, a]
    return joint


def state_distribution(game, joint):
    never = np.zeros(joint.shape)
    return visits(game.initial, game.transition, joint, NUMBERS.gamma, never)


def performance(game, policies):
    """J of the team [n, S, A]."""
    return game.initial @ value_and_advantage(game, product(policies))[0]


def value_and_advantage(game, joint):
    value = np.zeros(len(joint))
    for _ in range(300):
        outcome = game.reward + NUMBERS.gamma * game.transition @ value
        value = (joint * outcome).sum(axis=1)
    return value, outcome - value[:, None]


def trace(game, old, current, error):
    """A(s, a) = δ + Σ_k γ^k E[Π_{j=1..k} λ min(1, r_j) δ_k], term by term."""
    total, term = np.zeros_like(error), error
    for _ in range(300):
        total = total + term
        following = (old * NUMBERS.gae_lambda * np.minimum(1, current / old) * term).sum(axis=1)
        term = NUMBERS.gamma * game.transition @ following
    return total


def expectation(game, old, current, agent, own, position, sample):
    """Σ_s Σ_x d^π(s) π(x|s) sample(…) for one agent with the policy `own` [S, A], in loops.

    `current` [n, S, A] are the policies whose ratios the agent finds in the others.
    """
    joint, now = product(old), product(current)
    distribution = state_distribution(game, joint)
    omega = state_distribution(game, now) / distribution
    advantage = value_and_advantage(game, joint)[1]
    corrected = trace(game, joint, now, advantage)
    total = 0.0
    for s in range(len(joint)):
        for x, action in joint_actions(old):
            ratios = [current[i, s, a] / old[i, s, a] for i, a in enumerate(action)]
            others = ratios[:agent] + ratios[agent + 1 :]
            one = SimpleNamespace(
                own=own[s, action[agent]] / old[agent, s, action[agent]],
                others=others,
                r=np.prod(others),
                omega=omega[s],
                advantage=advantage[s, x],
                trace=corrected[s, x],
                position=position,
            )
            total += distribution[s] * joint[s, x] * sample(one)
    return total


SAMPLES = {
    "mappo": lambda x: printed.mappo(x.own, x.advantage, EPS1),
    "coppo": lambda x: printed.coppo(x.own, x.others, x.advantage, eps1=EPS1, eps2=EPS2),
    "happo": lambda x: printed.happo(x.own, x.r, x.advantage, EPS1),
    # the oracle of A2PO has ε2 = ε / 2; CoPPO's with ε_i for ε is the same
    "a2po": lambda x: printed.coppo(
        x.own, [x.r], x.trace, eps1=EPS1 * (0.5 + 0.5 * x.position / AGENTS), eps2=EPS2
    ),
    "opspo": lambda x: printed.opspo(x.own, x.r, x.omega, x.trace, eps1=EPS1, eps2=EPS2),
}


def at_once_oracle(name, game, old, new, agent):
    """Agent's own part of the objective where all have moved to the logits `new`."""
    old, new = softmax(old), softmax(new)
    return expectation(plain(game), old, new, agent, new[agent], AGENTS, SAMPLES[name])


def turns(old, new):
    """(agent, position, logits before its turn) for each turn in ORDER."""
    current = old
    for turn, agent in enumerate(ORDER):
        yield agent, turn + 1, current
        current = current.at[agent].set(new[agent])


@partial(jax.jit, static_argnames=("name",))
def objective_at_once(name, game, old, new):
    data = exact_updates.collect(game, old, gamma=NUMBERS.gamma)
    return UPDATES[name].objective(data, new, NUMBERS)


@partial(jax.jit, static_argnames=("name",))
def objectives_in_turn(name, game, old, current, agent, position, own):
    """Of candidates for an agent's logits [K, S, A]: [K]."""
    data = exact_updates.collect(game, old, gamma=NUMBERS.gamma)
    share = position / jnp.asarray(AGENTS, float)
    return jax.vmap(UPDATES[name].objective(game, data, current, agent, share, NUMBERS))(own)


@pytest.mark.parametrize("name", SIMULTANEOUS)
def test_objective_of_those_at_once(problem, name):
    game, old, new = problem
    got = objective_at_once(name, game, old, new)
    expected = sum(at_once_oracle(name, game, old, new, agent) for agent in range(AGENTS))
    np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize("name", SIMULTANEOUS)
def test_those_at_once_only_climb_their_own_part(problem, name):
    """Slope of agent 1's part with the others' ratios as they are, by finite differences."""
    game, old, new = problem
    slope = jax.jit(jax.grad(partial(objective_at_once, name, game, old)))(new)

    def part(change):
        return at_once_oracle(name, game, old, new.at[1, 0, 0].add(change), 1)

    np.testing.assert_allclose(slope[1, 0, 0], (part(1e-6) - part(-1e-6)) / 2e-6, atol=1e-7)
    assert abs(slope[1, 0, 0]) > 1e-3


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_objective_of_those_in_turn(problem, name):
    game, old, new = problem
    for agent, position, current in turns(old, new):
        got = objectives_in_turn(name, game, old, current, agent, position, new[agent][None])
        arguments = softmax(old), softmax(current), agent, softmax(new[agent]), position
        expected = expectation(plain(game), *arguments, SAMPLES[name])
        np.testing.assert_allclose(got, [expected], rtol=1e-9)


def two_action_policies(old, where):
    """Logits `old` [..., S, A] with every other policy at the state [...] `where`, on a grid."""
    grid = np.linspace(1e-4, 1 - 1e-4, 1001)
    candidates = np.repeat(np.asarray(old)[None], len(grid), axis=0)
    candidates[(slice(None), *where)] = np.stack([np.log(grid), np.log(1 - grid)], axis=-1)
    return candidates


def share_of_the_gain(objectives, old, new):
    """Gain of new logits [..., S, A], in units of what the best policy at every state brings."""
    best = 0.0
    for where in np.ndindex(old.shape[:-1]):
        values = objectives(np.stack([old, new, *two_action_policies(old, where)]))
        best += values[2:].max() - values[0]
    return (values[1] - values[0]) / best


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_each_turn_ends_near_the_maximum_of_its_objective(problem, name):
    """The objective is that after the turns before it in the order, at the right position."""
    game, old, _ = problem
    new = update(name, game, old)
    for agent, position, current in turns(old, new):
        objectives = partial(objectives_in_turn, name, game, old, current, agent, position)
        assert 0.98 < share_of_the_gain(objectives, old[agent], new[agent]) < 1.005


def test_those_at_once_end_near_the_maximum_too(problem):
    """MAPPO's parts do not depend on each other."""
    game, old, _ = problem
    objectives = jax.jit(jax.vmap(partial(objective_at_once, "mappo", game, old)))
    assert 0.98 < share_of_the_gain(objectives, old, update("mappo", game, old)) < 1.005


def test_with_one_agent_all_are_ppo(problem):
    game, _, _ = problem
    old = jax.random.normal(jax.random.PRNGKey(5), (1, *game.reward.shape))
    new = {name: update(name, game, old, order=(0,)) for name in UPDATES}
    assert jnp.abs(new["mappo"] - old).max() > 0.1
    for name, logits in new.items():
        np.testing.assert_allclose(logits, new["mappo"], atol=1e-8, err_msg=name)


@pytest.mark.parametrize("name", ["mappo", *SEQUENTIAL])
def test_even_policies_stay_in_the_clip_range(problem, name):
    """With two equally likely actions neither leaves the range before the other."""
    game, old, _ = problem
    beyond = jnp.abs(softmax(update(name, game, jnp.zeros_like(old))) / 0.5 - 1)
    widest = (1 + EPS1) / (1 - EPS2) - 1 if name == "a2po" else EPS1
    assert 0.9 * EPS1 < beyond.max() < widest + NUMBERS.step_size


def test_optimum_is_the_best_of_all_deterministic_teams(problem):
    exact, best = plain(problem[0]), -np.inf
    for actions in itertools.product(range(ACTIONS), repeat=AGENTS * STATES):
        policies = np.eye(ACTIONS)[np.reshape(actions, (AGENTS, STATES))]
        best = max(best, performance(exact, policies))
    got = comparison.optimum(problem[0], NUMBERS.gamma)
    np.testing.assert_allclose(got, best, rtol=1e-10)


@pytest.fixture
def chicken():
    """Either of two agents alone should play 1 more often, better agent 0; both should not."""
    reward = jnp.asarray([[0.0, 1.0, 1.2, -1.0]])
    game = tabular.Game(transition=jnp.ones((1, 4, 1)), initial=jnp.ones(1), reward=reward)
    return game, jnp.broadcast_to(jnp.log(jnp.asarray([0.7, 0.3])), (2, 1, 2))


WIDE = replace(NUMBERS, clip=0.9)


def test_simultaneous_steps_overshoot_where_turns_do_not(chicken):
    """In turn, the first to go plays 1 and the second leaves it to that."""
    game, logits = chicken
    start = performance(plain(game), softmax(logits))
    new = softmax(update("mappo", game, logits, order=(1, 0), numbers=WIDE))
    assert performance(plain(game), new) < start - 0.3
    for name in ("happo", "opspo"):
        new = softmax(update(name, game, logits, order=(1, 0), numbers=WIDE))
        assert performance(plain(game), new) > start + 0.5
        assert new[1, 0, 1] > 0.3 > new[0, 0, 1]


def test_any_order_can_be_drawn(chicken):
    game, logits = chicken
    run = partial(comparison.improve, update=UPDATES["happo"], numbers=WIDE, iterations=1)
    keys = jax.random.split(jax.random.PRNGKey(0), 8)
    got = {round(float(run(game, logits, key)[1]), 9) for key in keys}
    teams = [update("happo", game, logits, order=x, numbers=WIDE) for x in ((0, 1), (1, 0))]
    assert got == {round(performance(plain(game), softmax(team)), 9) for team in teams}
    assert len(got) == 2


@pytest.mark.parametrize("name", UPDATES)
def test_all_improve_where_agents_do_not_depend_on_each_other(problem, name):
    """The team is paid for each agent that plays 1; states come and go whatever it does."""
    game, logits, _ = problem
    playing = games.joint_actions(AGENTS, ACTIONS).sum(axis=1).astype(float)
    game = game.replace(
        transition=jnp.broadcast_to(game.transition[:, :1], game.transition.shape),
        reward=jnp.asarray([[1.0], [2.0]]) * playing[None],
    )
    path = [performance(plain(game), softmax(logits))]
    for _ in range(6):
        logits = update(name, game, logits)
        path.append(performance(plain(game), softmax(logits)))
    assert (np.diff(path) > 0).all()
    assert path[-1] - path[0] > 0.3 * (comparison.optimum(game, NUMBERS.gamma) - path[0])


def test_performance_is_that_of_the_policies(problem):
    """At the start and after each update; MAPPO, since the order drawn makes no difference."""
    game, logits, _ = problem
    key = jax.random.PRNGKey(0)
    got = comparison.improve(game, logits, key, UPDATES["mappo"], NUMBERS, 3)
    expected = []
    for _ in range(4):
        expected.append(performance(plain(game), softmax(logits)))
        logits = update("mappo", game, logits)
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_summary_counts_falls_on_the_way_to_the_optimum():
    path = jnp.asarray([[0.0, 1.0, 0.5, 2.0], [1.0, 2.0, 1.99, 3.0], [0.0, 1.0, 2.0, 4.0]])
    got = comparison.summarise(path, jnp.asarray([4.0, 5.0, 4.0]), tolerance=0.01)
    np.testing.assert_allclose(got.falls, 1 / 9)  # 0.01 of 4 is below the tolerance
    np.testing.assert_allclose(got.largest_fall, 0.5 / 4)
    np.testing.assert_allclose(got.way, 0.5)


def test_all_are_compared_on_their_own_games(problem):
    """Games that differ in the scale of the reward: the same way to optima of their own."""
    game, old, _ = problem
    mappo = UPDATES["mappo"]

    def draw(key):
        return game.replace(reward=game.reward * (1 + 9 * jax.random.uniform(key))), old

    keys = jax.random.split(jax.random.PRNGKey(1))
    found = comparison.compare(draw, keys, NUMBERS, iterations=3, updates={"one": mappo})
    got = found["one"]
    path = comparison.improve(game, old, keys[0], mappo, NUMBERS, 3)
    way = (path[3] - path[0]) / (comparison.optimum(game, NUMBERS.gamma) - path[0])
    np.testing.assert_allclose(got.way, way, rtol=1e-9)
    assert got.falls == got.largest_fall == 0


def test_the_updates_are_those_of_the_declarations():
    """None is listed by hand: each follows its declaration, and another declaration's differs."""
    assert set(UPDATES) == set(ALGORITHMS) - {"ippo"}
    for name, update in UPDATES.items():
        assert isinstance(update, exact_updates.Sequential) == ALGORITHMS[name].sequential
    source = Path(exact_forms.__file__).read_text()
    constants = {n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant)}
    assert not constants & set(ALGORITHMS)


@pytest.mark.parametrize(
    ("declaration", "same_as"),
    [
        (HAPPOConfig(advantage="trace"), []),
        (HAPPOConfig(clip_range="ppo"), []),
        (HAPPOConfig(state_weight="stepwise"), []),
        (HAPPOConfig(advantage="trace", clip_range="double_by_position"), ["a2po"]),
        (A2POConfig(state_weight="stepwise", clip_range="corrected"), ["opspo"]),
        (MAPPOConfig(clip_range="double"), ["coppo"]),
    ],
)
def test_an_update_follows_each_choice_of_its_declaration(declaration, same_as):
    found = exact_forms.exact_update(declaration)
    assert [name for name, update in UPDATES.items() if update == found] == same_as


@pytest.mark.parametrize(
    ("declaration", "told"),
    [
        (HAPPOConfig(advantage="vtrace_next"), "advantage must be 'gae' or 'trace' .*'vtrace_n"),
        (A2POConfig(trace_decay="twice"), "trace_decay must be 'factor' for an exact update"),
        (A2POConfig(trace_clip=2.0), r"trace_clip must be 1\.0"),
        (A2POConfig(trace_agents="all"), "trace_agents must be 'others' or 'preceding'"),
        (HAPPOConfig(values="anew"), "values must be 'collected'"),
        (HAPPOConfig(state_weight=lambda: None), "state_weight must be 'none' or"),
        (IPPOConfig(), "critic must be 'central'"),
        (A2POConfig(clip_range="double_by_ratios"), "clip_range: .* asks for 'nearness'"),
    ],
)
def test_what_has_no_exact_form_is_told(declaration, told):
    with pytest.raises(ConfigError, match=f"algorithm.{told}"):
        exact_forms.exact_update(declaration)


def test_an_algorithm_without_an_exact_form_is_left_out(monkeypatch):
    @dataclass(frozen=True, kw_only=True)
    class Later(HAPPOConfig):
        name: ClassVar[str] = "later"
        advantage: Any = "td"

    monkeypatch.setitem(ALGORITHMS, "later", Later)
    assert exact_forms.all_exact() == UPDATES

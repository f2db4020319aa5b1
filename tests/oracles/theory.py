"""Team games in plain NumPy: loops over states and joint actions, sums over time.

A game has `transition` [S, X, S], `initial` [S] and `reward` [S, X], a team is a list of policies
[S, A]. Joint actions come in the order of `itertools.product`.
"""

import itertools
from types import SimpleNamespace

import jax
import numpy as np


def plain(tree):
    """A structure of JAX arrays, with arrays of NumPy in their place."""
    return jax.tree.map(np.asarray, tree)


def joint_actions(agents, actions):
    return list(itertools.product(range(actions), repeat=agents))


def product(policies):
    """The joint policy [S, X]."""
    agents, states, actions = np.shape(policies)
    joint = np.ones((states, actions**agents))
    for s, (x, action) in itertools.product(
        range(states), enumerate(joint_actions(agents, actions))
    ):
        for policy, a in zip(policies, action, strict=True):
            joint[s, x] *= policy[s][a]
    return joint


def after_turns(old, new, turns):
    """Policies of the team once so many agents have been updated."""
    return [*new[:turns], *old[turns:]]


def over_time(game, joint, gamma, steps):
    """J, d and A of a joint policy, by playing the game step by step."""
    states = len(game.initial)
    now, visits, value = game.initial, np.zeros(states), np.zeros(states)
    chain = sum(joint[:, x, None] * game.transition[:, x] for x in range(joint.shape[1]))
    for t in range(steps):
        visits = visits + (1 - gamma) * gamma**t * now
        now = now @ chain
        outcome = game.reward + gamma * game.transition @ value
        value = (joint * outcome).sum(axis=1)
    outcome = game.reward + gamma * game.transition @ value
    return game.initial @ value, visits, outcome - value[:, None]


def flow(game, joint, gamma):
    """1 − γ P."""
    return np.eye(len(joint)) - gamma * np.einsum("sx,sxz->sz", joint, game.transition)


def value(game, joint, gamma):
    """V [S], by solving its linear equation."""
    return np.linalg.solve(flow(game, joint, gamma), (joint * game.reward).sum(axis=1))


def exact(game, joint, gamma):
    """J, d and A, by solving linear equations."""
    v = value(game, joint, gamma)
    distribution = (1 - gamma) * np.linalg.solve(flow(game, joint, gamma).T, game.initial)
    return game.initial @ v, distribution, game.reward + gamma * game.transition @ v - v[:, None]


def mean(distribution, joint, values):
    """Σ_s d(s) Σ_a π(a | s) values(s, a), in loops."""
    total = 0.0
    for s, x in np.ndindex(joint.shape):
        total += distribution[s] * joint[s, x] * values[s, x]
    return total


def own_mean(values, policies, agent):
    """Mean of `values` [S, X] for each action of one agent, the others by `policies`: [S, A]."""
    agents, states, actions = np.shape(policies)
    total = np.zeros((states, actions))
    for s, (x, action) in itertools.product(
        range(states), enumerate(joint_actions(agents, actions))
    ):
        share = 1.0
        for j, a in enumerate(action):
            if j != agent:
                share *= policies[j][s][a]
        total[s, action[agent]] += share * values[s, x]
    return total


def distance(old, new):
    """TV at each state of two policies [S, A]: [S]."""
    return np.array([sum(abs(new[s] - old[s])) / 2 for s in range(len(old))])


def trace(game, behaviour, current, error, *, gamma, gae_lambda, terms):
    """Σ_{k<terms} γ^k E_π[Π_{j=1..k} λ min(1, r_j) δ_k], given the first state and action: [S, X].

    r = current / behaviour, `error` the TD error δ(s, a).
    """
    total, term = np.zeros_like(error), error
    for _ in range(terms):
        total = total + term
        kept = behaviour * gae_lambda * np.minimum(1, current / behaviour)
        term = gamma * game.transition @ (kept * term).sum(axis=1)
    return total


def turns(game, old, new, gamma):
    """What each agent's turn is, exactly: its team before and after, its own step and advantage.

    `own` [S, A] is the advantage of the agent's actions, team-mates averaged out.
    """
    rows = []
    for i in range(len(old)):
        team = after_turns(old, new, i)
        before, after = product(team), product(after_turns(old, new, i + 1))
        start, d, advantage = exact(game, before, gamma)
        end, d_after, _ = exact(game, after, gamma)
        step = distance(old[i], new[i])
        row = SimpleNamespace(
            game=game,
            gamma=gamma,
            agent=i,
            team=team,
            old=old[i],
            new=new[i],
            before=before,
            after=after,
            change=end - start,
            d=d,
            d_after=d_after,
            advantage=advantage,
            step=step,
            own=own_mean(advantage, team, i),
            alpha=max(step),
            mean_distance=float(d @ step),
            epsilon=abs(advantage).max(),
        )
        row.swing = swing(step, row.own)
        rows.append(row)
    return rows


def swing(step, own):
    """max_s step(s) · (max − min of own(s, ·))."""
    return max(t * (max(row) - min(row)) for t, row in zip(step, own, strict=True))


def with_estimate(turn, distribution, advantage):
    """A turn, and what is wrong with the estimates [S] and [S, X] that its agent has."""
    off = advantage - turn.advantage
    return SimpleNamespace(
        **vars(turn),
        d_given=distribution,
        given=advantage,
        delta=abs(distribution - turn.d).sum(),
        xi=abs(off).max(),
        error_swing=swing(turn.step, own_mean(off, turn.team, turn.agent)),
    )

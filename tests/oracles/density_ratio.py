"""Exact state distributions by summing over time, and the estimating equation in plain loops."""

import math
from dataclasses import dataclass

import numpy as np

STATES, ACTIONS = 5, 4


def visits(initial, transition, policy, gamma, end, horizon=500):
    """Share of each state [S] among all steps weighted by γ^t, until the episode ends.

    `transition` is [S, X, S], `policy` [S, X], `end` [S, X] the probability that nothing follows.
    """
    now, total = initial.copy(), np.zeros_like(initial)
    going = np.einsum("sx,sx,sxz->sz", policy, 1 - end, transition)
    for t in range(horizon):
        total += gamma**t * now
        now = now @ going
    return total / total.sum()


def restarting(initial, transition, policy, end, rounds=16):
    """Long-run share of each state when an ended episode goes over into a new one."""
    going = np.einsum("sx,sx,sxz->sz", policy, 1 - end, transition)
    chain = going + np.outer(1 - going.sum(axis=1), initial)
    for _ in range(rounds):
        chain = chain @ chain
    return chain[0]


def every_step(distribution, policy, transition, end):
    """All (s, x, s', goes on) with their probabilities: five arrays."""
    rows = []
    for s, x, z in np.ndindex(transition.shape):
        here = distribution[s] * policy[s, x] * transition[s, x, z]
        rows += [(s, x, z, 1.0, here * (1 - end[s, x])), (s, x, z, 0.0, here * end[s, x])]
    s, x, z, goes_on, share = zip(*rows, strict=True)
    return np.array(s), np.array(x), np.array(z), np.array(goes_on), np.array(share)


def residual(omega, f, distribution, policy, target, transition, initial, gamma):
    """E[ω(s) f(s)] − γ E[ω(s) ρ f(s')] − (1 − γ) E_0[f(s0)], as Liu et al. (2018) have it."""
    total = 0.0
    for s in range(len(initial)):
        total += distribution[s] * omega[s] * f[s] - (1 - gamma) * initial[s] * f[s]
        for x in range(policy.shape[1]):
            ratio = target[s, x] / policy[s, x]
            for z in range(len(initial)):
                share = distribution[s] * policy[s, x] * transition[s, x, z]
                total -= gamma * share * omega[s] * ratio * f[z]
    return total


def printed(omega, f, distribution, policy, target, transition, initial, gamma):
    """γ (E[Δ f(s')])² + (1 − γ) (E_0[(1 − ω(s0)) f(s0)])², Eq. 33."""
    first = second = 0.0
    for s in range(len(initial)):
        second += initial[s] * (1 - omega[s]) * f[s]
        for x in range(policy.shape[1]):
            for z in range(len(initial)):
                delta = omega[z] - omega[s] * target[s, x] / policy[s, x]
                first += distribution[s] * policy[s, x] * transition[s, x, z] * delta * f[z]
    return gamma * first**2 + (1 - gamma) * second**2


def kernel(mass, points, bandwidth):
    """Σ_ij m_i k(x_i, x_j) m_j."""
    total = 0.0
    for m, x in zip(mass, points, strict=True):
        for n, y in zip(mass, points, strict=True):
            distance = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
            total += m * n * math.exp(-distance / (2 * bandwidth**2))
    return total


def linear(phi, distribution, policy, target, transition, initial, gamma, ridge):
    """Minimiser of |b − A α|² in M⁻¹ plus ridge · αᵀ M α, from exact moments; ω [S].

    `phi` is [S, p] and has the constant in its span.
    """
    moved = np.einsum("s,sx,sxz->sz", distribution, target, transition)
    second = phi.T @ (distribution[:, None] * phi)
    matrix = second - gamma * phi.T @ moved.T @ phi
    vector = -(phi.T @ distribution - gamma * phi.T @ moved.sum(0) - (1 - gamma) * phi.T @ initial)
    inverse = np.linalg.inv(second)
    left = matrix.T @ inverse @ matrix + ridge * second
    return 1 + phi @ np.linalg.solve(left, matrix.T @ inverse @ vector)


@dataclass
class Problem:
    """A problem in arrays of NumPy; its steps with exact probabilities; the ratio sought."""

    initial: np.ndarray
    transition: np.ndarray
    end: np.ndarray
    target: np.ndarray
    policies: list

    @classmethod
    def make(cls, seed, ends=False, behaviours=1, apart=0.5):
        rng = np.random.default_rng(seed)

        def policy(logits):
            return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

        logits = rng.normal(size=(STATES, ACTIONS))
        moves = apart * rng.normal(size=(behaviours + 1, STATES, ACTIONS))
        return cls(
            initial=rng.dirichlet(np.ones(STATES)),
            transition=rng.dirichlet(0.5 * np.ones(STATES), size=(STATES, ACTIONS)),
            end=ends * rng.uniform(0, 0.4, size=(STATES, ACTIONS)),
            target=policy(logits + moves[0]),
            policies=[policy(logits + move) for move in moves[1:]],
        )

    def distribution(self, policy, gamma):
        if gamma == 1:
            return restarting(self.initial, self.transition, policy, self.end)
        return visits(self.initial, self.transition, policy, gamma, self.end)

    def mixture(self, gamma):
        return np.mean([self.distribution(p, gamma) for p in self.policies], axis=0)

    def truth(self, gamma):
        return self.distribution(self.target, gamma) / self.mixture(gamma)

    def steps(self, gamma, ratio_to="own"):
        """s, s', ρ, weight, continues; each policy's steps one after the other."""
        parts = []
        for policy in self.policies:
            s, x, z, goes_on, share = every_step(
                self.distribution(policy, gamma), policy, self.transition, self.end
            )
            below = policy if ratio_to == "own" else np.mean(self.policies, axis=0)
            parts.append((s, z, (self.target / below)[s, x], share, goes_on))
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def arguments(self, policy, gamma):
        return (
            self.distribution(policy, gamma),
            policy,
            self.target,
            self.transition,
            self.initial,
            gamma,
        )

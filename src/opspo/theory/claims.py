"""The claims about each surrogate: an error, and the bound that it should not exceed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp

from opspo.theory import bounds
from opspo.theory.estimates import PAIRS
from opspo.theory.facts import Facts
from opspo.types import Array

ANY = PAIRS[:-1]
"""The pairs of estimates that have an error."""


@dataclass(frozen=True)
class Claim:
    """One bound on one surrogate: [n] if it is per agent, [] if it is for the team."""

    name: str
    source: str
    """Where it is stated"""
    estimates: tuple[str, ...]
    """The members of `estimates.PAIRS` that it is checked on"""
    error: Callable[[Facts], Array]
    bound: Callable[[Facts], Array]


def trpo(facts: Facts) -> Array:
    """Eq. 5, for each agent: [n]."""
    return bounds.trpo(facts.alpha, facts.epsilon, gamma=facts.gamma)


def trpo_quadratic(facts: Facts) -> Array:
    """Eq. 5, second line, for each agent: [n]."""
    return bounds.trpo_quadratic(facts.alpha, facts.epsilon, gamma=facts.gamma)


def vanilla(facts: Facts) -> Array:
    """Proposition 1, for each agent: [n]. Without corrections its Δ is ξ."""
    before = jnp.cumsum(facts.alpha) - facts.alpha
    return bounds.vanilla(facts.alpha, before, facts.epsilon, facts.xi, gamma=facts.gamma)


def single(bound: Callable[..., Array]) -> Callable[[Facts], Array]:
    """A bound in terms of α, ε, δ and ξ, for each agent: facts → [n]."""
    return lambda f: bound(f.alpha, f.epsilon, f.delta, f.xi, gamma=f.gamma)


def team(bound: Callable[..., Array]) -> Callable[[Facts], Array]:
    """The sum of `single` over agents, with the largest ε (Theorem 2 from 1): facts → []."""
    return lambda f: bound(f.alpha, f.epsilon.max(), f.delta, f.xi, gamma=f.gamma).sum()


def refined(facts: Facts) -> Array:
    """Our own bound for Eq. 10 as it stands, for each agent: [n]."""
    shift = bounds.distribution_shift(facts.alpha, facts.mean_distance, gamma=facts.gamma)
    return bounds.refined(shift, facts.swing, facts.delta, facts.xi, gamma=facts.gamma)


def refined_centred(facts: Facts) -> Array:
    """Our own bound for the centred surrogate, for each agent: [n]."""
    shift = bounds.distribution_shift(facts.alpha, facts.mean_distance, gamma=facts.gamma)
    return bounds.refined(shift, facts.swing, facts.delta, facts.error_swing, gamma=facts.gamma)


def on_the_data(bound: Callable[..., Array]) -> Callable[[Facts], Array]:
    """A bound in terms of α and the first ε, which is that of A^π: facts → []."""
    return lambda f: bound(f.alpha, f.epsilon[0], gamma=f.gamma)


def a2po(facts: Facts) -> Array:
    """Table 1's row for A2PO: []."""
    return bounds.a2po(facts.alpha, facts.epsilon.max(), facts.xi, gamma=facts.gamma)


CLAIMS = (
    Claim("TRPO", "Eq. 5", ("both",), lambda f: f.corrected_error, trpo),
    Claim(
        "TRPO, quadratic", "Eq. 5, line 2", ("both",), lambda f: f.corrected_error, trpo_quadratic
    ),
    Claim("vanilla", "Proposition 1", ("none",), lambda f: f.corrected_error, vanilla),
    Claim(
        "Theorem 1, printed",
        "Eq. 12",
        ANY,
        lambda f: f.corrected_error,
        single(bounds.theorem_1),
    ),
    Claim(
        "Theorem 1, corrected",
        "docs/theory.md",
        ANY,
        lambda f: f.corrected_error,
        single(bounds.corrected),
    ),
    Claim("Theorem 1, refined", "docs/theory.md", ANY, lambda f: f.corrected_error, refined),
    Claim("centred", "docs/theory.md", ANY, lambda f: f.centred_error, single(bounds.centred)),
    Claim("centred, refined", "docs/theory.md", ANY, lambda f: f.centred_error, refined_centred),
    Claim("MAPPO", "Table 1", ("none",), lambda f: f.mappo_error, on_the_data(bounds.mappo)),
    Claim(
        "MAPPO, squared",
        "Table 1 to the letter",
        ("none",),
        lambda f: f.mappo_error,
        on_the_data(bounds.mappo_squared),
    ),
    Claim(
        "CoPPO and HAPPO",
        "Table 1",
        ("none",),
        lambda f: f.happo_error,
        on_the_data(bounds.coppo),
    ),
    Claim(
        "A2PO",
        "Table 1",
        ("none", "advantage", "trace", "drawn errors"),
        lambda f: f.a2po_error,
        a2po,
    ),
    Claim("Theorem 2, printed", "Eq. 13", ANY, lambda f: f.joint_error, team(bounds.theorem_1)),
    Claim(
        "Theorem 2, corrected",
        "docs/theory.md",
        ANY,
        lambda f: f.joint_error,
        team(bounds.corrected),
    ),
    Claim(
        "Theorem 2, refined",
        "docs/theory.md",
        ANY,
        lambda f: f.joint_error,
        lambda f: refined(f).sum(),
    ),
)
"""The paper's claims, as printed, and ours."""

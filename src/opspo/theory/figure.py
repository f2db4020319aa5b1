"""Table 1 as a figure: bounds and true errors against the number of agents and the step size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from opspo.errors import ConfigError
from opspo.theory import bounds, games
from opspo.theory.claims import a2po as a2po_bound
from opspo.theory.claims import on_the_data, refined, team
from opspo.theory.estimates import Estimate, of_the_data
from opspo.theory.facts import Facts, facts
from opspo.theory.sequence import solve
from opspo.types import Array

GAMMA = 0.9
STATES, ACTIONS = 3, 2
AGENTS = (1, 2, 3, 4, 5, 6, 7)
STEPS = (0.003, 0.01, 0.03, 0.1, 0.3)
GAMES = 200


@dataclass(frozen=True)
class Line:
    """A bound in the figure."""

    label: str
    bound: Callable[[Facts], Array]
    colour: str
    style: str = "-"


LINES = (
    Line("MAPPO", on_the_data(bounds.mappo), "tab:grey"),
    Line("CoPPO, HAPPO", on_the_data(bounds.coppo), "tab:blue"),
    Line("A2PO", a2po_bound, "tab:green"),
    Line("OPSPO, printed", team(bounds.theorem_1), "tab:red", "--"),
    Line("OPSPO, corrected", team(bounds.corrected), "tab:red"),
    Line("OPSPO, refined", lambda f: refined(f).sum(), "tab:orange"),
)


@partial(jax.jit, static_argnames="agents")
def _at_a_step(keys: Array, step: Array, *, agents: int) -> Facts:
    """`_one_game` for each key [N, 2]."""
    return jax.vmap(lambda key: _one_game(key, step, agents=agents))(keys)


def _one_game(key: Array, step: Array, *, agents: int) -> Facts:
    """A sparse game in which every agent moves by α^i = step, with exact advantages and d^π."""
    game_key, old_key, new_key = jax.random.split(key, 3)
    shape = {"states": STATES, "agents": agents, "actions": ACTIONS}
    game = games.sparse_game(game_key, **shape)
    old = jax.nn.softmax(games.random_logits(old_key, **shape))
    other = jax.nn.softmax(games.random_logits(new_key, **shape, spread=5.0))
    distance = jnp.abs(other - old).sum(axis=-1, keepdims=True).max(axis=1, keepdims=True) / 2
    new = old + jnp.minimum(step / distance, 1) * (other - old)
    sequence = solve(game, old, new, gamma=GAMMA)
    estimate = Estimate(of_the_data(sequence).distribution, sequence.advantage[:-1])
    return facts(sequence, estimate, gamma=GAMMA)


Medians = tuple[list[float], float, float]
"""Each line's median bound, the median error and the largest error."""


def _medians(agents: int, step: float) -> Medians:
    """Medians over `GAMES` games with `agents` agents, each of which moves by `step`."""
    keys = jax.random.split(jax.random.PRNGKey(agents), GAMES)
    found = _at_a_step(keys, jnp.asarray(step), agents=agents)
    heights = [float(jnp.median(jax.vmap(line.bound)(found))) for line in LINES]
    error = np.asarray(found.joint_error)
    return heights, float(np.median(error)), float(error.max())


def check_figure(path: Path) -> None:
    """Raise a `ConfigError` if Matplotlib is missing or cannot write files with that suffix."""
    try:
        from matplotlib.backend_bases import FigureCanvasBase  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(
            "--figure needs Matplotlib, which is not installed: pip install 'opspo[plot]'."
        ) from error
    formats = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.removeprefix(".") not in formats:
        raise ConfigError(
            f"--figure must end in one of .{', .'.join(sorted(formats))}, but is {path}."
        )


def draw_figure(path: Path) -> None:
    """Draw two panels: against n at a step of 0.03, and against the step with four agents."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - an extra

    with jax.enable_x64(True):
        panels: dict[str, list[tuple[float, Medians]]] = {
            "agents": [(n, _medians(n, 0.03)) for n in AGENTS],
            "step of each agent, $\\alpha^i$": [(step, _medians(4, step)) for step in STEPS],
        }
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
    for axis, (label, points) in zip(axes, panels.items(), strict=True):
        where = [x for x, _ in points]
        for i, line in enumerate(LINES):
            height = [heights[i] for _, (heights, _, _) in points]
            axis.plot(where, height, line.style, color=line.colour, label=line.label)
        axis.plot(where, [e for _, (_, e, _) in points], "k:", label="error, median")
        axis.plot(where, [e for _, (_, _, e) in points], "k-.", label="error, largest")
        axis.set(xlabel=label, yscale="log")
    axes[1].set_xscale("log")
    axes[0].set_ylabel("error of the joint surrogate")
    axes[1].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)

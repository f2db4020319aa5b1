"""What the policy that is trained scores, from the episodes that end while it is trained."""

from __future__ import annotations

from dataclasses import dataclass

from opspo.experiments.records import Record

WINDOW = 20
"""Iterations over which scores are averaged"""


@dataclass(frozen=True)
class Curve:
    """Means over windows of iterations."""

    metric: str
    steps: list[int]
    """Environment steps at the end of each window"""
    values: list[float]


def curve(record: Record, *, window: int | None = None) -> Curve:
    """Means over all episodes that ended within some iterations, `WINDOW` unless said."""
    window = window or WINDOW
    rows = record.curve
    metric = "win_rate" if "win_rate" in rows else "episode_return"
    steps, values = [], []
    for end in range(min(window, len(rows["episodes"])), len(rows["episodes"]) + 1):
        within = slice(max(end - window, 0), end)
        pairs = zip(rows[metric][within], rows["episodes"][within], strict=True)
        ended = [(score, episodes) for score, episodes in pairs if episodes]
        if ended:
            steps.append(rows["env_steps"][end - 1])
            total = sum(score * episodes for score, episodes in ended)
            values.append(total / sum(episodes for _, episodes in ended))
    return Curve(metric, steps, values)


def last_tenth(record: Record) -> float:
    """The mean over all episodes that ended within the last tenth of the iterations."""
    return curve(record, window=max(1, len(record.curve["episodes"]) // 10)).values[-1]


def sampled(record: Record) -> list[float]:
    """The values of the curve."""
    return curve(record).values


def sampled_at(record: Record, steps: int) -> float:
    """The value at some steps, or the last one before."""
    found = curve(record)
    return [v for at, v in zip(found.steps, found.values, strict=True) if at <= steps][-1]

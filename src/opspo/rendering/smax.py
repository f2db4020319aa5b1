"""SMAX from above: where the units are, how hurt they are, and who shoots or heals whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from opspo.rendering.canvas import (
    ALLY,
    BACKGROUND,
    ENEMY,
    FAINT_TEXT,
    GOOD,
    MIDDLING,
    TEXT,
    Canvas,
    Colour,
    Point,
    blend,
)

if TYPE_CHECKING:
    from opspo.environments.smax import SMAX

WIDTH, HEIGHT = 720, 600
"""Maximum size in pixels of the part of the map that is shown"""
LEGEND = 44
"""Height in pixels of the legend above the map"""
MARGIN = 1.5
"""Map units shown around the area that the units covered"""

FLOOR: Colour = (27, 33, 42)
GRID: Colour = (34, 41, 52)
WALL: Colour = (96, 105, 120)
HEALING: Colour = (110, 255, 150)
AIM = 0.45
"""Fraction of the floor's colour in the line of a unit that only aims"""

# Number of corners of each type's outline (0: a disc) and the first one's angle from upright, in
# degrees.
_OUTLINES = {
    "marine": (0, 0),
    "marauder": (4, 45),
    "stalker": (4, 0),
    "zealot": (5, 0),
    "zergling": (3, 0),
    "hydralisk": (6, 0),
    "medivac": (8, 22.5),
}


@dataclass(frozen=True)
class Act:
    """A unit targets another with its attack action."""

    unit: int
    target: int
    heals: bool
    fires: bool
    """Whether it fired (or healed) in this step; if not, its weapon rests and it only aims"""


def paint(environment: SMAX, states: Sequence[Any]) -> Iterator[Image.Image]:
    """A picture of each state of an episode, with the actions that led to it."""
    painter = Painter(environment, states)
    for before, state in zip(chain([None], states), states, strict=False):
        yield painter.picture(state.state, None if before is None else before.state)


class Painter:
    """Draws the part of a map in which an episode took place."""

    def __init__(self, environment: SMAX, states: Sequence[Any]) -> None:
        engine = environment._env
        self._names = list(engine.unit_type_names)
        self._letters = list(engine.unit_type_shorthands)
        self._radii = np.asarray(engine.unit_type_radiuses)
        self._full_health = np.asarray(engine.unit_type_health)
        self._num_allies = int(engine.num_allies)
        self._moves = int(engine.num_movement_actions)
        self._step_seconds = engine.world_steps_per_env_step * engine.time_per_step
        self._map = np.array([engine.map_width, engine.map_height], float)
        places = np.concatenate([np.asarray(state.state.unit_positions) for state in states])
        low, high = places.min(axis=0) - MARGIN, places.max(axis=0) + MARGIN
        # two lines of units that meet would give a strip: show at least half as high as wide
        missing = max(0.0, (high[0] - low[0]) / 2 - (high[1] - low[1]))
        grow = np.array([0, missing / 2])
        # a unit may be pushed over the wall, where it dies
        self._low = np.maximum(np.floor(low - grow), -1)
        self._extent = np.minimum(np.ceil(high + grow), self._map + 1) - self._low
        self._scale = int(min(WIDTH / self._extent[0], HEIGHT / self._extent[1]))

    def picture(self, units: Any, before: Any | None) -> Image.Image:
        """The map after a step, and what the units did since `before` (None at the start)."""
        width, height = (int(pixels) for pixels in self._extent * self._scale)
        canvas = Canvas(width, height + LEGEND)
        self._draw_floor(canvas)
        canvas.box((0, 0), (width, LEGEND), BACKGROUND)
        self._draw_legend(canvas, np.asarray(units.unit_types))
        places = [self._place(position) for position in np.asarray(units.unit_positions)]
        alive = np.asarray(units.unit_alive)
        for unit in _where(~alive):
            self._draw_dead(canvas, unit, places[unit])
        for act in () if before is None else self.acts(units, before):
            self._draw_act(canvas, act, places)
        radii = self._radii[np.asarray(units.unit_types)]
        for unit in sorted(_where(alive), key=lambda unit: -radii[unit]):  # small ones on top
            self._draw_unit(canvas, units, unit, places[unit])
        for unit in _where(alive):
            self._draw_health(canvas, units, unit, places[unit])
        return canvas.picture()

    def acts(self, units: Any, before: Any) -> list[Act]:
        """Who targeted whom in the step between two states of the engine."""
        chosen = np.asarray(units.prev_attack_actions)
        living = np.asarray(before.unit_alive)
        heals = np.asarray(units.unit_types) == self._type_number("medivac")
        # a weapon's cooldown decreases with time; firing restarts it
        rest, rested = np.asarray(units.unit_weapon_cooldowns), before.unit_weapon_cooldowns
        fired = rest > np.asarray(rested) - self._step_seconds + 1e-3
        found = []
        for unit in _where((chosen >= self._moves) & living):
            target = self._target(unit, int(chosen[unit]) - self._moves, heals[unit], len(chosen))
            found.append(Act(unit, target, heals[unit], fires=fired[unit] or heals[unit]))
        return found

    def _target(self, unit: int, slot: int, heals: bool, num_units: int) -> int:
        """The unit that an attack action targets.

        Each side numbers the other side's units in the order in which it sees them, the enemies
        starting from the last unit; a medivac numbers its own side's.
        """
        is_ally = unit < self._num_allies
        if is_ally:
            return slot if heals else self._num_allies + slot
        return (num_units if heals else self._num_allies) - 1 - slot

    def _type_number(self, name: str) -> int:
        return self._names.index(name) if name in self._names else -1

    def _place(self, position: Any) -> Point:
        """A position on the map, whose y points upwards, in pixels."""
        x, y = (np.asarray(position, float) - self._low) * self._scale
        return float(x), float(LEGEND + self._extent[1] * self._scale - y)

    def _colour(self, unit: int) -> Colour:
        return ALLY if unit < self._num_allies else ENEMY

    def _draw_floor(self, canvas: Canvas) -> None:
        width, height = self._map
        top, bottom = self._place((0, height)), self._place((width, 0))
        canvas.box(top, bottom, FLOOR)
        for x in np.arange(4, width, 4):
            canvas.line([self._place((x, 0)), self._place((x, height))], GRID)
        for y in np.arange(4, height, 4):
            canvas.line([self._place((0, y)), self._place((width, y))], GRID)
        canvas.box(top, bottom, None, WALL)

    def _draw_legend(self, canvas: Canvas, types: np.ndarray) -> None:
        x, y = 16.0, 13.0
        for name, colour in (("allies", ALLY), ("enemies", ENEMY)):
            canvas.disc((x, y), 5, colour)
            x += 26 + canvas.text((x + 10, y), name, TEXT, anchor="lm")
        samples = [("shot", ALLY, 2.5), ("aim", blend(ALLY, FLOOR, AIM), 1.0)]
        if self._type_number("medivac") in types:
            samples.append(("healing", HEALING, 2.5))
        for name, colour, thickness in samples:
            canvas.line([(x - 5, y), (x + 13, y)], colour, thickness)
            x += 38 + canvas.text((x + 18, y), name, TEXT, anchor="lm")
        x, y = 16.0, 32.0
        for number in np.unique(types):
            self._draw_outline(canvas, int(number), (x, y), 6, FAINT_TEXT)
            x += 24 + canvas.text((x + 11, y), self._names[number], FAINT_TEXT, anchor="lm")

    def _draw_outline(
        self, canvas: Canvas, unit_type: int, at: Point, radius: float, colour: Colour
    ) -> None:
        edge = blend(colour, (255, 255, 255), 0.45)
        sides, turn = _OUTLINES[self._names[unit_type]]
        if not sides:
            canvas.disc(at, radius, colour, edge)
            return
        angles = np.radians(turn + 360 * np.arange(sides) / sides)
        # the same area as a disc of that radius
        reach = radius * np.sqrt(2 * np.pi / sides / np.sin(2 * np.pi / sides))
        corners = [
            (at[0] + float(reach * np.sin(a)), at[1] - float(reach * np.cos(a))) for a in angles
        ]
        canvas.shape(corners, colour, edge)

    def _draw_dead(self, canvas: Canvas, unit: int, at: Point) -> None:
        colour = blend(self._colour(unit), FLOOR, 0.65)
        x, y = at
        for sign in (-1, 1):
            canvas.line([(x - 4, y - 4 * sign), (x + 4, y + 4 * sign)], colour, 1.5)

    def _draw_act(self, canvas: Canvas, act: Act, places: list[Point]) -> None:
        """Draw a line to the target, shifted to the right so that a duel shows two lines."""
        colour = blend(self._colour(act.unit), (255, 255, 255), 0.25)
        colour = HEALING if act.heals else colour
        start, end = np.array(places[act.unit]), np.array(places[act.target])
        away = end - start
        side = np.array([-away[1], away[0]]) / max(float(np.hypot(*away)), 1e-6) * 2
        line = [tuple(start + side), tuple(end + side)]
        if not act.fires:
            canvas.line(line, blend(colour, FLOOR, AIM), 1)
            return
        canvas.line(line, colour, 2.5)
        canvas.disc(line[1], 3, colour)

    def _radius(self, units: Any, unit: int) -> float:
        return float(self._radii[int(units.unit_types[unit])]) * self._scale

    def _draw_unit(self, canvas: Canvas, units: Any, unit: int, at: Point) -> None:
        unit_type, radius = int(units.unit_types[unit]), self._radius(units, unit)
        self._draw_outline(canvas, unit_type, at, radius, self._colour(unit))
        canvas.text(at, self._letters[unit_type], (255, 255, 255), max(10, radius * 1.2))

    def _draw_health(self, canvas: Canvas, units: Any, unit: int, at: Point) -> None:
        full = float(self._full_health[int(units.unit_types[unit])])
        health = min(max(float(units.unit_health[unit]) / full, 0.0), 1.0)
        radius = self._radius(units, unit)
        x, y, half = at[0], at[1] - radius * 1.15 - 4, max(radius, 8)
        colour = GOOD if health > 0.6 else MIDDLING if health > 0.3 else ENEMY
        canvas.box((x - half - 1, y - 2), (x + half + 1, y + 2), BACKGROUND)
        canvas.box((x - half, y - 1), (x - half + 2 * half * health, y + 1), colour)


def _where(units: np.ndarray) -> list[int]:
    """The indices of the units for which the array [n] is true."""
    return [int(unit) for unit in np.flatnonzero(units)]

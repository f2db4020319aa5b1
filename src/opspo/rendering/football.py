"""Football from above, drawn from the engine's raw observation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from opspo.rendering.canvas import (
    ALLY,
    ENEMY,
    FAINT_TEXT,
    TEXT,
    Canvas,
    Colour,
    Point,
    blend,
)

if TYPE_CHECKING:
    from opspo.environments.football import Match

PIXELS = 6.4
"""Pixels per metre"""
METRES = np.array([54.4, 83.6])
"""Metres per unit of the engine's x and y; the pitch ends at ±1 and ±0.42"""
GOAL = 0.044
"""Half the width of a goal, in units of y"""
MARGIN, HEADER = 24, 36
STEPS_AHEAD = 6
"""A player's streak ends where the player will be after this many steps at its current speed"""

GRASS: Colour = (40, 98, 58)
LINE: Colour = (170, 205, 178)
BALL: Colour = (255, 255, 255)
OWNER: Colour = (255, 214, 64)
MODES = ("", "kick-off", "goal kick", "free kick", "corner", "throw-in", "penalty")

_HALF = np.array([1, 0.42]) * METRES * PIXELS
_MIDDLE = _HALF + MARGIN + np.array([0, HEADER])
_KEEPER = 0
"""The engine's number for the role of goalkeeper"""


def picture_of(match: Match) -> Image.Image:
    """A picture of the current state of a match. The agents are our outfield players."""
    roles = np.asarray(match.raw["left_team_roles"])
    return draw(match.raw, np.flatnonzero(roles != _KEEPER).tolist())


def draw(raw: Mapping[str, Any], controlled: Collection[int] = ()) -> Image.Image:
    """Draw the pitch with both teams, the ball, the score and the time left.

    Args:
        raw: the engine's raw observation; our goal is on the left.
        controlled: indices of our players that get a white edge.
    """
    width, height = (2 * (_HALF + MARGIN)).astype(int)
    canvas = Canvas(int(width), int(height) + HEADER)
    _draw_header(canvas, raw, int(width))
    _draw_pitch(canvas)
    owner = (int(raw["ball_owned_team"]), int(raw["ball_owned_player"]))
    for number, (side, colour) in enumerate((("left", ALLY), ("right", ENEMY))):
        active, speed = raw[f"{side}_team_active"], raw[f"{side}_team_direction"]
        for player, position in enumerate(raw[f"{side}_team"]):
            if not active[player]:  # sent off
                continue
            edge = BALL if side == "left" and player in controlled else None
            keeps = raw[f"{side}_team_roles"][player] == _KEEPER
            shirt = blend(colour, (0, 0, 0), 0.45) if keeps else colour
            end = _place(np.asarray(position) + STEPS_AHEAD * np.asarray(speed[player]))
            canvas.line([_place(position), end], blend(shirt, BALL, 0.35), 2)
            _draw_player(canvas, _place(position), shirt, edge, player, owner == (number, player))
    _draw_ball(canvas, raw["ball"])
    return canvas.picture()


def _place(position: Any) -> Point:
    """A position in the engine's units, in pixels; y points downwards in both."""
    x, y = _MIDDLE + np.asarray(position, float)[:2] * METRES * PIXELS
    return float(x), float(y)


def _draw_header(canvas: Canvas, raw: Mapping[str, Any], width: int) -> None:
    ours, theirs = (int(goals) for goals in raw["score"])
    middle, y = width / 2, HEADER / 2 + 2
    canvas.text((middle, y), f"{ours} : {theirs}", TEXT, 18)
    canvas.disc((middle - 40, y), 7, ALLY)
    canvas.disc((middle + 40, y), 7, ENEMY)
    canvas.text((MARGIN, y), MODES[int(raw["game_mode"])], FAINT_TEXT, 13, "lm")
    left = f"{int(raw['steps_left'])} steps left"
    canvas.text((width - MARGIN, y), left, FAINT_TEXT, 13, "rm")


def _draw_pitch(canvas: Canvas) -> None:
    canvas.box(_place((-1, -0.42)), _place((1, 0.42)), GRASS)
    for stripe in np.arange(-1, 1, 0.4):
        canvas.box(_place((stripe, -0.42)), _place((stripe + 0.2, 0.42)), blend(GRASS, BALL, 0.04))
    canvas.box(_place((-1, -0.42)), _place((1, 0.42)), None, LINE)
    canvas.line([_place((0, -0.42)), _place((0, 0.42))], LINE)
    canvas.disc(_place((0, 0)), 9.15 * PIXELS, None, LINE)
    for side in (-1, 1):
        for deep, wide in ((16.5, 20.16), (5.5, 9.16)):  # metres: penalty area, goal area
            x, y = np.array([deep, wide]) / METRES
            corners = _place((side * (1 - x), -y)), _place((side, y))
            canvas.box(*_ordered(*corners), None, LINE)
        goal = _place((side, -GOAL)), _place((side * 1.03, GOAL))
        canvas.box(*_ordered(*goal), blend(LINE, (0, 0, 0), 0.5), LINE)


def _ordered(corner: Point, opposite: Point) -> tuple[Point, Point]:
    """The same rectangle, from its upper left to its lower right corner."""
    (left, right), (top, bottom) = (sorted(ends) for ends in zip(corner, opposite, strict=True))
    return (left, top), (right, bottom)


def _draw_player(
    canvas: Canvas, at: Point, shirt: Colour, edge: Colour | None, number: int, owns: bool
) -> None:
    if owns:
        canvas.disc(at, 13, None, OWNER, 2)
    canvas.disc(at, 9, shirt, edge, 1.5)
    canvas.text(at, str(number), BALL, 11)


def _draw_ball(canvas: Canvas, ball: Any) -> None:
    """Draw the ball above its shadow, by its height in metres."""
    x, y = _place(ball)
    up = max(0.0, float(ball[2]) - 0.2) * PIXELS
    canvas.disc((x, y), 4, (14, 40, 24))
    canvas.disc((x, y - up), 4, BALL, (40, 40, 40))

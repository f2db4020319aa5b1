"""The caption of a picture: the environment, the step, the return so far, and how it ended."""

from __future__ import annotations

import math

from PIL import Image

from opspo.rendering.canvas import (
    BACKGROUND,
    FAINT_TEXT,
    GOOD,
    TEXT,
    Canvas,
    Colour,
    blend,
    font,
)
from opspo.rendering.record import END, NOT_WON, STOPPED, WON, Shot, Tally

HEIGHT = 36
"""Height in pixels of the strip under a picture"""
NARROWEST = 400
"""Width in pixels that a caption needs; a narrower picture is enlarged"""

_GREY: Colour = (96, 105, 120)
_BADGES = {WON: GOOD, NOT_WON: (214, 92, 80), END: _GREY, STOPPED: _GREY}


def captioned(shot: Shot, name: str) -> Image.Image:
    """The picture above a strip with the state of the episode.

    Width and height are made even, since videos store colours for blocks of two by two pixels.
    """
    picture = _wide_enough(shot.picture)
    width, height = (size + size % 2 for size in picture.size)
    whole = Image.new("RGB", (width, height + HEIGHT), BACKGROUND)
    whole.paste(picture)
    whole.paste(_strip(shot.tally, name, width), (0, height))
    if shot.tally.ending:
        badge = _badge(shot.tally.ending)
        whole.paste(badge, ((width - badge.width) // 2, height - badge.height - 10))
    return whole


def _wide_enough(picture: Image.Image) -> Image.Image:
    """The picture, enlarged by a whole factor, pixel by pixel, if it is too narrow."""
    factor = math.ceil(NARROWEST / picture.width)
    size = picture.width * factor, picture.height * factor
    return picture.resize(size, Image.Resampling.NEAREST) if factor > 1 else picture


def _strip(tally: Tally, name: str, width: int) -> Image.Image:
    strip, middle = Canvas(width, HEIGHT), HEIGHT / 2
    strip.line([(0, 0), (width, 0)], blend(BACKGROUND, TEXT, 0.2))
    strip.text((width - 14, middle), f"return {tally.total:.2f}", TEXT, 13, "rm")
    strip.text((width - 122, middle), f"step {tally.step}", TEXT, 13, "rm")
    strip.text((14, middle), _shortened(name, width - 206), FAINT_TEXT, 13, "lm")
    return strip.picture()


def _shortened(name: str, room: float) -> str:
    """The name, cut off with an ellipsis if it is wider than `room` pixels."""
    if font(13).getlength(name) <= room:
        return name
    while name and font(13).getlength(name + "…") > room:
        name = name[:-1]
    return name + "…"


def _badge(ending: str) -> Image.Image:
    """A coloured label that says how the episode ended."""
    badge = Canvas(112, 32, _BADGES[ending])
    badge.text((56, 16), ending, (255, 255, 255), 17)
    return badge.picture()

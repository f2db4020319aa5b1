"""A picture to draw on, with smooth edges, and the colours shared by all pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Point = tuple[float, float]

BACKGROUND: Colour = (18, 22, 29)
TEXT: Colour = (222, 227, 234)
FAINT_TEXT: Colour = (150, 158, 170)
ALLY: Colour = (72, 144, 240)
ENEMY: Colour = (232, 84, 72)
GOOD: Colour = (76, 201, 112)
MIDDLING: Colour = (240, 190, 64)

_FINER = 2
"""Everything is drawn this many times larger, since Pillow's lines and polygons have hard edges"""


@cache
def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font at `size` pixels, so that films look the same on every machine."""
    return ImageFont.load_default(size)


def blend(colour: Colour, other: Colour, share: float) -> Colour:
    """A mix of two colours, with the fraction `share` of the other."""
    red, green, blue = (
        round(own + share * (another - own)) for own, another in zip(colour, other, strict=True)
    )
    return red, green, blue


class Canvas:
    """A picture to draw on. Coordinates are pixels of the finished picture, with y downwards."""

    def __init__(self, width: int, height: int, colour: Colour = BACKGROUND) -> None:
        self._image = Image.new("RGB", (width * _FINER, height * _FINER), colour)
        self._draw = ImageDraw.Draw(self._image)

    def picture(self) -> Image.Image:
        """The picture drawn so far."""
        return self._image.reduce(_FINER)

    def line(self, points: Sequence[Point], colour: Colour, width: float = 1) -> None:
        """Draw straight lines from point to point."""
        self._draw.line([_finer(p) for p in points], colour, _thick(width), joint="curve")

    def box(
        self, corner: Point, opposite: Point, fill: Colour | None, edge: Colour | None = None
    ) -> None:
        """Draw a rectangle, with a one-pixel edge if `edge` is a colour."""
        self._draw.rectangle([_finer(corner), _finer(opposite)], fill, edge, _FINER)

    def disc(
        self,
        centre: Point,
        radius: float,
        fill: Colour | None,
        edge: Colour | None = None,
        width: float = 1,
    ) -> None:
        """Draw a circle, with an edge of `width` pixels if `edge` is a colour."""
        x, y = centre
        ends = [_finer((x - radius, y - radius)), _finer((x + radius, y + radius))]
        self._draw.ellipse(ends, fill, edge, _thick(width))

    def shape(
        self, corners: Sequence[Point], fill: Colour, edge: Colour | None = None, width: float = 1
    ) -> None:
        """Draw a polygon, with an edge of `width` pixels if `edge` is a colour."""
        self._draw.polygon([_finer(p) for p in corners], fill, edge, _thick(width))

    def text(
        self, at: Point, text: str, colour: Colour = TEXT, size: float = 12, anchor: str = "mm"
    ) -> float:
        """Write text at one of Pillow's anchors; return its width in pixels."""
        letters = font(size * _FINER)
        self._draw.text(_finer(at), text, colour, letters, anchor)
        return self._draw.textlength(text, letters) / _FINER


def _finer(point: Point) -> Point:
    return point[0] * _FINER, point[1] * _FINER


def _thick(width: float) -> int:
    return max(1, round(width * _FINER))

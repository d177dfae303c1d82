"""The materials of the sample's pictures: noise, sky, ridges, water, and a pen for things.

Colours are RGB from 0 to 255, y grows downwards, distances run from 0 (near) to 1 (all haze).
Shading is computed on one channel and coloured by a table of 256 entries: cheaper than three
channels of floats.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from imnetlib.catalog import data_file

Array = npt.NDArray[Any]
Colour = Sequence[float] | Array
Points = Sequence[tuple[float, float]] | Array

# The side of a sheet of noise, in pixels.
SHEET = 1024
# The bits of fraction in the points of OpenCV's polygons.
SUBPIXEL = 4


def table_rows(name: str) -> list[list[str]]:
    """The cells of a table in ``data/``, without its header."""
    lines = data_file(name).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines[1:]]


def rgb(text: str) -> Colour:
    """The colour that is written #rrggbb."""
    return tuple(bytes.fromhex(text[1:]))


@dataclass(frozen=True, slots=True)
class Mood:
    """An hour of the day: sky above, sky at the horizon, and the light's colour (1 = neutral)."""

    top: Colour
    low: Colour
    light: Colour


@dataclass(frozen=True, slots=True)
class Stage:
    """A picture in the making.

    ``side`` is where the sun stands (1 right, -1 left), ``snow`` the season (0 summer, 1 winter).
    """

    pixels: npt.NDArray[np.uint8]
    rng: np.random.Generator
    mood: Mood
    side: int
    snow: float

    @property
    def height(self) -> int:
        """The picture's height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """The picture's width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def winter(self) -> bool:
        """Whether snow lies on the ground and on the trees."""
        return self.snow > 0.6

    def vary(self, low: float, high: float) -> float:
        """A number between two."""
        return float(self.rng.uniform(low, high))

    def pick(self, *choices: Any) -> Any:
        """One of the choices."""
        return choices[int(self.rng.integers(len(choices)))]

    def hazy(self, colour: Colour, distance: float, shade: float = 1.0) -> list[float]:
        """How a colour looks from afar: drawn towards the sky at the horizon."""
        return [
            min(255.0, c * shade) * (1 - distance) + haze * distance
            for c, haze in zip(colour, self.mood.low, strict=True)
        ]


@functools.cache
def _sheet() -> npt.NDArray[np.float32]:
    """Fractal noise, 1024 × 1024, mean 0.5: every texture is a stretched piece of it."""
    rng = np.random.default_rng(1024)
    total = np.zeros((SHEET, SHEET), np.float32)
    for cells in (4, 8, 16, 32, 64, 128, 256, 512, 1024):
        octave = rng.standard_normal((cells, cells), np.float32) * cells**-0.7
        total += cv2.resize(octave, (SHEET, SHEET), interpolation=cv2.INTER_CUBIC)
    return np.float32(0.5) + total * np.float32(0.17 / total.std())


@functools.cache
def _relief() -> npt.NDArray[np.float32]:
    """The same noise as hilly ground under a low sun on the right, mean 0.5."""
    slope = _sheet() - np.roll(_sheet(), (2, -2), (0, 1))
    return np.float32(0.5) + slope * np.float32(0.17 / slope.std())


@functools.cache
def grain_sheet() -> npt.NDArray[np.uint8]:
    """Film grain about 128: mostly of brightness, a little of colour."""
    rng = np.random.default_rng(35)
    grain = 128 + 24 * rng.standard_normal((SHEET, SHEET, 1))
    grain = grain + 9 * rng.standard_normal((SHEET, SHEET, 3))
    return grain.clip(0, 255).astype(np.uint8)


def noise(
    stage: Stage, shape: tuple[int, int], stretch: tuple[float, float], relief: bool = False
) -> npt.NDArray[np.float32]:
    """A piece of fractal noise about 0.5, stretched across and down; ``relief``: lit as ground."""
    sheet = _relief() if relief else _sheet()
    height, width = shape
    across, down = stretch
    h = min(SHEET, int(height / down) + 1)
    w = min(SHEET, int(width / across) + 1)
    y, x = stage.rng.integers(0, (SHEET - h + 1, SHEET - w + 1)).tolist()
    piece = cv2.resize(sheet[y : y + h, x : x + w], (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(piece, np.float32)


def line(stage: Stage, cells: int, gain: float = 0.5) -> npt.NDArray[np.float32]:
    """A fractal line over the picture's width, between about -1 and 1."""
    x = np.linspace(0, 1, stage.width)
    total = np.zeros(stage.width)
    for octave in range(7):
        knots = stage.rng.uniform(-1, 1, cells * 2**octave + 2)
        total += gain**octave * np.interp(x, np.linspace(0, 1, knots.size), knots)
    return total.astype(np.float32)


def ramp(*colours: Colour) -> npt.NDArray[np.uint8]:
    """A table of 256 colours from the first to the last."""
    stops = np.linspace(0, 255, len(colours))
    channels = [np.interp(np.arange(256), stops, channel) for channel in zip(*colours, strict=True)]
    return np.stack(channels, axis=1).clip(0, 255).astype(np.uint8)


def coloured(light: Array, table: Array) -> npt.NDArray[np.uint8]:
    """The colours of a shading from 0 to 1."""
    index = cv2.convertScaleAbs(np.maximum(light, 0), alpha=255)
    return np.asarray(cv2.LUT(cv2.merge([index, index, index]), table[None]), np.uint8)


def blend(stage: Stage, top: int, left: int, layer: Array, alpha: Array) -> None:
    """Lay ``layer`` over the picture at (top, left), cut at the picture's edge."""
    y0 = max(0, -top)
    x0 = max(0, -left)
    y1 = min(layer.shape[0], stage.height - top)
    x1 = min(layer.shape[1], stage.width - left)
    if y0 >= y1 or x0 >= x1:
        return
    under = stage.pixels[top + y0 : top + y1, left + x0 : left + x1]
    weight = np.ascontiguousarray(alpha[y0:y1, x0:x1], np.float32)
    under[:] = cv2.blendLinear(
        np.ascontiguousarray(layer[y0:y1, x0:x1]), under.copy(), weight, 1 - weight
    )


def veil(stage: Stage, top: int, alpha: Array, colour: Colour) -> None:
    """One colour over the rows from ``top`` on, as strong as ``alpha`` (h × 1 or h × w) says."""
    alpha = np.broadcast_to(np.asarray(alpha, np.float32), (alpha.shape[0], stage.width))
    layer = np.full((*alpha.shape, 3), np.clip(colour, 0, 255), np.uint8)
    blend(stage, top, 0, layer, alpha)


def sky(stage: Stage, horizon: float, clouds: float) -> None:
    """A gradient, a glow where the sun stands, and clouds lit from its side."""
    h = max(2, int(horizon) + 2)
    w = stage.width
    low = np.array(stage.mood.low)
    down = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    stage.pixels[:h] = coloured(np.broadcast_to(down**0.8, (h, w)), ramp(stage.mood.top, low))
    from_sun = np.abs(np.linspace(0, 1, w) - 0.5 - 0.4 * stage.side)
    glow = np.exp(-((from_sun / 0.28) ** 2))
    veil(stage, 0, glow[None, :] * (0.1 + 0.4 * down), low * 1.2 + 10)

    puff = noise(stage, (h, w), (stage.vary(1.0, 2.2), stage.vary(0.5, 0.9)))
    body = ((puff - 0.84 + 0.5 * clouds) * 4).clip(0, 1)
    edge = 0.7 + 2.4 * (puff - np.roll(puff, (3, 5 * stage.side), (0, 1)))
    white = 0.6 * low + 102
    blend(stage, 0, 0, coloured(edge, ramp(0.62 * white, 0.9 * white, white)), body)


def ridge(
    stage: Stage,
    crest: Array,
    bottom: int,
    colours: tuple[Colour, Colour],
    *,
    distance: float = 0.0,
    snow: float = 0.0,
    relief: float = 0.42,
    grit: float = 0.8,
    stretch: tuple[float, float] = (0.7, 1.4),
) -> None:
    """Ground below a crest, its faces lit from the side.

    Light follows the crest's own slope, carried down along wandering lines: that makes spurs and
    gullies.

    Args:
        stage: The picture.
        crest: The y of each column.
        bottom: The y down to which the ground reaches.
        colours: Of the ground in shadow and in light.
        distance: From 0 (near) to 1 (all haze).
        snow: The depth in pixels down to which snow lies.
        relief: How strongly the crest's slope shades the ground.
        grit: How rough the ground is.
        stretch: The factors across and down that its noise is stretched by.
    """
    top = max(0, int(crest.min()))
    bottom = min(bottom, stage.height)
    if bottom - top < 2:
        return
    h = bottom - top
    w = stage.width
    half = np.float32(0.5)
    depth = np.arange(top, bottom, dtype=np.float32)[:, None] - crest.astype(np.float32)
    rough = noise(stage, (h, w), stretch) - half
    wander = noise(stage, (h, w), (0.6, 1.0)) - half
    steep = cv2.GaussianBlur(np.gradient(crest).astype(np.float32)[None], (0, 0), w / 80)[0]
    slope = np.tanh(steep * 1.6) * stage.side
    columns = np.arange(w, dtype=np.float32) + wander * np.minimum(depth, 90) * 2
    face = slope[columns.clip(0, w - 1).astype(np.int32)]
    bumps = (noise(stage, (h, w), stretch, relief=True) - half) * np.float32(stage.side * grit)
    light = half + np.float32(relief) * face + rough * np.float32(0.5 * grit) + bumps

    # The lower half of the colour table is ground, the upper half snow.
    shaded = light.clip(0, 1) * np.float32(0.49)
    if snow > 0:
        drifted = depth + (rough * 3 + wander) * np.float32(0.5 * snow)
        shaded[drifted - face * np.float32(0.15 * snow) < snow] += np.float32(0.505)
    ground = ramp(*(stage.hazy(colour, distance) for colour in colours))
    white = ramp(stage.hazy((120, 140, 178), distance), stage.hazy((250, 250, 252), distance))
    table = np.concatenate([ground[::2], white[::2]])
    blend(stage, top, 0, coloured(shaded, table), (depth + half).clip(0, 1))


def water(stage: Stage, level: float, colour: Colour, chop: float, mirror: float) -> None:
    """Water from ``level`` down, with ripples that grow towards the viewer and break what it shows.

    It mirrors what stands above it, from not at all (``mirror`` 0) to all of it (1).
    """
    top = int(level)
    h = stage.height - top
    w = stage.width
    if h < 2 or top < 2:
        return
    rows = np.arange(h, dtype=np.float32)[:, None]
    near = 1 + 5 * rows / stage.height
    x = np.arange(w, dtype=np.float32)[None]
    left, start = stage.rng.uniform(100, 700, 2)
    sheet_x = np.float32(left) + (x - w / 2) / (near * 3)
    sheet_y = np.broadcast_to(np.float32(start) + 90 * np.log(near), (h, w)).astype(np.float32)
    border = cv2.BORDER_REFLECT_101
    waves = cv2.remap(_sheet(), sheet_x, sheet_y, cv2.INTER_LINEAR, borderMode=border)
    waves = waves - np.float32(0.5)
    sway = waves * near * np.float32(chop * 9)
    above = np.abs(top - 1 - rows * 0.95 + sway)
    layer = cv2.remap(stage.pixels, x + sway * 0.4, above.clip(0, top - 1), cv2.INTER_LINEAR)
    tone = ramp([c * 0.55 for c in colour], colour, stage.hazy(colour, 0.55))
    own = coloured(0.5 + waves * 1.6, tone)
    weight = (1 - mirror + 0.25 * rows / h + waves * 0.5).clip(0, 1)
    surface = cv2.blendLinear(own, layer, weight, 1 - weight)
    blend(stage, top, 0, surface, np.ones((h, w), np.float32))


@dataclass(frozen=True, slots=True)
class Pen:
    """Draws a thing standing at (x, y), in units of its ``size``, y upwards.

    ``flip`` -1 mirrors it, ``tilt`` turns it (radians).
    """

    stage: Stage
    x: float
    y: float
    size: float
    distance: float = 0.0
    flip: int = 1
    tilt: float = 0.0

    def spot(self, points: Points) -> npt.NDArray[np.int32]:
        """Where points lie on the picture, in OpenCV's fixed point."""
        upright = np.asarray(points, np.float64).reshape(-1, 2) * (self.flip, -1)
        c = np.cos(self.tilt)
        s = np.sin(self.tilt)
        turned = upright @ np.array([[c, s], [-s, c]]) * self.size + (self.x, self.y)
        return np.asarray(np.round(turned * 2**SUBPIXEL), np.int32)

    def fill(self, points: Points, colour: Colour, shade: float = 1.0) -> None:
        """Fill a polygon."""
        self._fill_spots(self.spot(points), colour, shade)

    def _fill_spots(self, spots: Array, colour: Colour, shade: float) -> None:
        hazy = self.stage.hazy(colour, self.distance, shade)
        cv2.fillPoly(self.stage.pixels, [spots], hazy, cv2.LINE_AA, SUBPIXEL)

    def fill_all(self, shapes: Array, colour: Colour, shades: Sequence[float] | Array) -> None:
        """Fill polygons of equally many corners (n × corners × 2), each in a shade of its own."""
        corners = self.spot(shapes).reshape(shapes.shape)
        for spots, shade in zip(corners, shades, strict=True):
            self._fill_spots(spots, colour, shade)

    def oval(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, shade: float = 1.0
    ) -> None:
        """Fill an ellipse.

        Args:
            x: its middle.
            y: its middle.
            rx: half its width.
            ry: half its height.
            colour: RGB.
            shade: how light it is, 1 as the colour says.
        """
        turn = np.linspace(0, 2 * np.pi, 26)
        self.fill(np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1), colour, shade)

    def stroke(self, points: Points, colour: Colour, width: float = 0.01) -> None:
        """Draw a line through points, ``width`` in units of the size."""
        spots = [self.spot(points)]
        hazy = self.stage.hazy(colour, self.distance)
        thick = max(1, round(width * self.size))
        cv2.polylines(self.stage.pixels, spots, False, hazy, thick, cv2.LINE_AA, SUBPIXEL)


def solid(
    pen: Pen,
    x: float,
    y: float,
    rx: float,
    ry: float,
    tables: Sequence[Array],
    *,
    grit: float = 0.0,
    bend: Callable[[Array, Array], tuple[Array, Array]] | None = None,
    skin: Callable[[Array, Array], Array] | None = None,
) -> None:
    """A round body lit from above and from the sun's side.

    Args:
        pen: What draws it, and in what units.
        x: Of the body's centre.
        y: Of the body's centre.
        rx: Half its width.
        ry: Half its height.
        tables: Its colourings, 256 colours each.
        grit: How rough its skin is.
        bend: Maps its own coordinates (-1 to 1) onto the unit disc.
        skin: Says for each point of the disc which of ``tables`` colours it.
    """
    stage = pen.stage
    cx, cy = pen.spot([(x, y)])[0] / 2**SUBPIXEL
    a = rx * pen.size
    b = ry * pen.size
    reach = int(max(a, b) * 1.25) + 2
    left = int(cx) - reach
    top = int(cy) - reach
    dy, dx = np.ogrid[: 2 * reach, : 2 * reach]
    dx = (dx + (left - cx)).astype(np.float32)
    dy = (dy + (top - cy)).astype(np.float32)
    u = (dx * np.cos(pen.tilt) + dy * np.sin(pen.tilt)) / a * pen.flip
    v = (dy * np.cos(pen.tilt) - dx * np.sin(pen.tilt)) / b
    if bend is not None:
        u, v = bend(u, v)
    r = np.sqrt(u * u + v * v)
    light = 0.3 + 0.42 * np.sqrt((1 - r * r).clip(0, 1))
    light += (stage.side * dx - dy) * np.float32(0.26 / max(a, b))
    if grit:
        light += (noise(stage, (2 * reach, 2 * reach), (0.8, 0.8)) - 0.5) * grit
    far = np.array(stage.mood.low) * pen.distance
    hazy = [(table * (1 - pen.distance) + far).astype(np.uint8) for table in tables]
    layers = [coloured(light, table) for table in hazy]
    layer = layers[0] if skin is None else np.choose(skin(u, v)[..., None], layers)
    blend(stage, top, left, layer, ((1 - r) * min(a, b) + 0.5).clip(0, 1))

"""The things that stand in the sample's pictures: trees, bridges, buildings, craft and fruit.

Most are drawings, mark by mark, in ``data/sample_things.tsv``; trees, and bodies with a pattern,
are grown here.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from imnetlib.course.sample.brushes import (
    Array,
    Colour,
    Pen,
    Stage,
    blend,
    ramp,
    rgb,
    solid,
    table_rows,
)

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark of a drawing; ``amount`` is a shade, a width or a roughness, as its kind needs."""

    kind: str
    colour: str
    amount: float
    points: Points


@functools.cache
def _drawings() -> dict[str, list[Mark]]:
    """The marks of each drawing, in order."""
    found = defaultdict(list)
    for thing, kind, colour, amount, pairs in table_rows("sample_things.tsv"):
        points = []
        for pair in pairs.split():
            x, y = pair.split(",")
            points.append((float(x), float(y)))
        found[thing].append(Mark(kind, colour, float(amount), tuple(points)))
    return found


def _lemon(u: Array, v: Array) -> tuple[Array, Array]:
    return u * 0.97, v * (1 + 0.75 * np.abs(u) ** 6 * (np.abs(u) < 0.93))


def _berry(u: Array, v: Array) -> tuple[Array, Array]:
    return u * (1 + 0.5 * np.maximum(v, 0)), v + 0.1 * (1 - np.abs(u))


def _apple(u: Array, v: Array) -> tuple[Array, Array]:
    return u * (1 + 0.13 * v), v - 0.16 * np.exp(-((u * 3.2) ** 2)) * (v < 0)


# How a body's own coordinates (-1..1, v downwards) are bent onto the unit disc.
SHAPES: dict[str, Callable[[Array, Array], tuple[Array, Array]]] = {
    "ball": lambda u, v: (u, v),
    "lemon": _lemon,
    "berry": _berry,
    "apple": _apple,
    "balloon": lambda u, v: (u * (1 + 0.62 * np.maximum(v, 0) ** 1.5), v),
}


def drawing(pen: Pen, name: str, colour: str = "") -> None:
    """A drawing from the table.

    Its colours named $a, $b, … are chosen here, unless ``colour`` gives $a.
    """
    chosen = {"$a": colour}
    for mark in _drawings()[name]:
        tone = chosen.get(mark.colour, mark.colour)
        if mark.kind == "fill":
            pen.fill(mark.points, rgb(tone), mark.amount)
        elif mark.kind == "line":
            pen.stroke(mark.points, rgb(tone), mark.amount)
        elif mark.kind == "oval":
            pen.oval(*mark.points[0], *mark.points[1], rgb(tone), mark.amount)
        elif mark.kind == "shadow":
            _shadow(pen, *mark.points[0], *mark.points[1])
        elif mark.kind == "colours":
            key, *choices = tone.split()
            chosen[key] = pen.stage.pick(*choices)
        else:
            table = ramp(*map(rgb, tone.split(",")))
            centre, radii = mark.points
            solid(pen, *centre, *radii, [table], grit=mark.amount, bend=SHAPES[mark.kind])


def _shadow(pen: Pen, x: float, y: float, rx: float, ry: float) -> None:
    """The soft dark below something on a table, on the side away from the sun."""
    cx = pen.x + (x - pen.stage.side * 0.18 * rx) * pen.size
    cy = pen.y - y * pen.size
    w = int(rx * pen.size * 1.5) + 2
    h = int(ry * pen.size * 1.5) + 2
    v, u = np.ogrid[-h:h, -w:w]
    alpha = (1.1 - np.sqrt((u / w) ** 2 + (v / h) ** 2)).clip(0, 0.6)
    dark = np.full((2 * h, 2 * w, 3), (26, 18, 14), np.uint8)
    blend(pen.stage, int(cy) - h, int(cx) - w, dark, alpha)


@dataclass(frozen=True, slots=True)
class Species:
    """How a conifer grows, in units of its height.

    Args:
        needles: Its greens.
        trunk: The colour of its trunk.
        reach: The length of the lowest boughs.
        droop: The fall of a bough, in units of its length.
        bare: The trunk below the first bough.
        taper: Above 1 slender at the top, below 1 round.
        dense: How many boughs it has, 1 for a usual number.
        ragged: How much they differ in length.
        core: Whether it is opaque within.
        nod: How far the tip hangs over.
    """

    needles: tuple[Colour, ...]
    trunk: Colour
    reach: float
    droop: float
    bare: float
    taper: float = 1.0
    dense: float = 1.0
    ragged: float = 0.2
    core: bool = True
    nod: float = 0.0


SNOW = (236, 240, 248)
# fmt: off
SPECIES = {
    "fir": Species(
        ((38, 82, 62), (46, 92, 60)), (84, 70, 58),
        reach=0.21, droop=0.02, bare=0.04, dense=1.2, ragged=0.1,
    ),
    "amabilis_fir": Species(
        ((72, 112, 104), (88, 126, 122)), (150, 146, 138),
        reach=0.15, droop=0.12, bare=0.03, taper=0.8, dense=1.3, ragged=0.1,
    ),
    "spruce": Species(
        ((30, 58, 46), (40, 64, 40)), (92, 62, 44),
        reach=0.27, droop=0.5, bare=0.05, taper=1.15, dense=0.9, ragged=0.22,
    ),
    "larch": Species(
        ((206, 158, 48), (222, 138, 44), (150, 172, 66)), (94, 76, 62),
        reach=0.24, droop=0.22, bare=0.1, dense=0.8, ragged=0.35, core=False,
    ),
    "douglas_fir": Species(
        ((58, 88, 48), (70, 100, 58)), (86, 58, 44),
        reach=0.25, droop=-0.25, bare=0.3, taper=0.7, dense=0.9, ragged=0.45,
    ),
    "mountain_hemlock": Species(
        ((64, 84, 78), (78, 96, 84)), (104, 92, 86),
        reach=0.19, droop=0.8, bare=0.05, taper=0.85, dense=0.9, ragged=0.35, nod=0.035,
    ),
}
# fmt: on


def _wedges(*corners: tuple[Array, Array]) -> Array:
    """Triangles from their corners' (x, y), each an array: n × 3 × 2."""
    return np.array(corners).transpose(2, 3, 0, 1).reshape(-1, 3, 2)


def conifer(pen: Pen, name: str) -> None:
    """A tree: its trunk, a dark body, then boughs from the lowest up, brighter on the sun's side.

    No two of a species are alike, and their greens overlap: only the shape tells them apart.
    """
    species = SPECIES[name]
    stage = pen.stage
    droop = species.droop + stage.vary(-0.15, 0.2)
    mix = stage.vary(0, 0.5 if species.core else 0.25)
    green = (1 - mix) * np.array(stage.pick(*species.needles)) + mix * np.array((48, 78, 56))
    green *= stage.vary(0.75, 1.25)
    levels = int(np.clip(pen.size / 9, 9, 26) * species.dense)
    height = np.linspace(species.bare, 0.97, levels)
    below_top = (1 - height) / (1 - species.bare)
    longest = species.reach * stage.vary(0.7, 1.3)
    reach = longest * np.maximum(below_top ** (species.taper * stage.vary(0.85, 1.2)), 0.03)
    axis = species.nod * (np.maximum(height - 0.8, 0) / 0.2) ** 2

    foot = 0.022 + 0.012 * (species.bare > 0.2)
    top = (-0.004, 0.95)
    pen.fill([(-foot, -0.01), (foot, -0.01), (0.004, 0.95), top], species.trunk)
    pen.fill([(-foot, -0.01), (-foot * 0.2, -0.01), (0, 0.95), top], species.trunk, 0.6)
    if species.core:
        side = reach * stage.rng.uniform(0.65, 0.9, levels)
        corners = np.array([(side, height - side * droop), (side * 0.5, height)])
        right = corners.transpose(2, 0, 1).reshape(-1, 2)
        both = np.concatenate([right, [(0, 1.0)], (right * (-1, 1))[::-1]])
        both[:, 0] += np.concatenate([axis.repeat(2), axis[-1:], axis.repeat(2)[::-1]])
        pen.fill(both, green, 0.5)
    _boughs(pen, species, green, droop, np.stack([axis, height, reach]))
    if species.nod:
        tip = np.array([(0.6, 0.95), (1.2, 0.985), (1.8, 0.96)]) * (species.nod, 1)
        pen.stroke(tip, green * 0.8, 0.012)


def _boughs(pen: Pen, species: Species, green: Array, droop: float, levels: Array) -> None:
    """Six boughs at each level; the levels' rows are their x, their y and their boughs' reach."""
    stage = pen.stage
    shape = (levels.shape[1], 6)
    axis, height, reach = levels[..., None]
    gap = 1 / shape[0]
    sides = np.array((1, 0.95, 0.72, -1, -0.95, -0.72))
    length = reach * (1 + species.ragged * stage.rng.uniform(-1.2, 0.8, shape)) * sides
    jitter = stage.rng.uniform(-0.5, 0.5, shape)
    x = axis + np.zeros(6)
    y = height + jitter * gap
    drop = np.abs(length) * droop
    root = (x, y + 0.25 * gap)
    tip = (x + length, y - drop + jitter * 0.3 * gap)
    thick = 0.08 * np.abs(length) * species.core
    under = (x + length * 0.6, y - 0.6 * drop - 0.55 * gap - thick)
    shade = (0.82 + 0.3 * np.sign(length) * pen.flip * stage.side + 0.45 * jitter).ravel()
    pen.fill_all(_wedges(root, tip, under), green, shade)
    if stage.winter:
        laid = jitter.ravel() > -0.1
        middle = (x + length * 0.5, y - 0.45 * drop - 0.1 * gap)
        pen.fill_all(_wedges(root, tip, middle)[laid], SNOW, shade[laid])


def pine(pen: Pen) -> None:
    """A Scots pine: a long reddish trunk under a crown of flat clouds."""
    stage = pen.stage
    rng = stage.rng
    lean = stage.vary(-0.06, 0.06)
    red = (168, 98, 62)
    green = np.array((52, 88, 52)) * stage.vary(0.85, 1.2)
    pen.fill([(-0.03, -0.01), (0.03, -0.01), (lean + 0.012, 0.85), (lean - 0.012, 0.85)], red)
    pen.fill([(-0.03, -0.01), (-0.005, -0.01), (lean, 0.85), (lean - 0.012, 0.85)], red, 0.62)
    heights = np.linspace(0.5, 0.95, int(rng.integers(7, 11)))
    across = lean + rng.uniform(-0.24, 0.24, heights.size) * (2.3 - 2.2 * heights)
    places = np.stack([across, heights], 1)
    for x, y in places:
        pen.stroke([(lean * y, y - 0.06), (x, y)], red, 0.014)
    turn = np.linspace(0, 2 * np.pi, 22)
    circle = np.stack([np.cos(turn), np.sin(turn)], 1)
    layers = np.array([(0, -0.02), (-0.05, 0), (0.06, 0.005), (0.02, 0.025)])[:, None]
    for place in places:
        wide = stage.vary(0.09, 0.16)
        jag = 1 + 0.22 * rng.uniform(-1, 1, (4, 22, 1))
        pen.fill_all(place + layers + circle * jag * (wide, 0.055), green, (0.5, 0.75, 0.9, 1.1))
        if stage.winter:
            pen.oval(place[0], place[1] + 0.05, wide * 0.7, 0.02, SNOW)


def grove(pen: Pen, name: str, count: int, spread: float, guests: float = 0.0) -> None:
    """Several trees side by side, the tallest of the kind named, a share of ``guests`` of others.

    ``conifers`` mixes them all, neighbours of different kinds.
    """
    stage = pen.stage
    kinds = stage.rng.permutation([*SPECIES, "pine"])
    row = np.linspace(-spread, spread, count) if count > 1 else np.zeros(1)
    places = stage.rng.permutation(row)
    heights = np.sort(stage.rng.uniform(0.6, 1.0, count))
    for i, place in enumerate(places):
        x = pen.x + (place + stage.vary(-0.08, 0.08)) * pen.size
        y = pen.y + stage.vary(-0.02, 0.03) * pen.size
        is_guest = name == "conifers" or (i < count - 1 and stage.rng.random() < guests)
        kind = kinds[i % len(kinds)] if is_guest else name
        draw(replace(pen, x=x, y=y, size=pen.size * heights[i], flip=stage.pick(-1, 1)), kind)


def forest(
    stage: Stage, crest: Array, size: float, colour: Colour, distance: float, count: int
) -> None:
    """A far wood along a crest: small jagged spires, one polygon each.

    Args:
        stage: where it is painted.
        crest: the height of the ground in each column of pixels.
        size: the height of a tree in pixels.
        colour: RGB.
        distance: how far away it is; haze takes what is far.
        count: how many trees.
    """
    rng = stage.rng
    x = np.sort(rng.uniform(-5, stage.width + 5, count))
    column = x.astype(np.int64).clip(0, stage.width - 1)
    foot = crest[column] + rng.uniform(0.1, 0.6, count) * size
    place = np.stack([x, -foot], 1)[:, None]
    widths = rng.uniform(0.16, 0.26, count)
    heights = rng.uniform(0.6, 1.2, count)
    scale = size * np.stack([widths, heights], 1)[:, None]
    left = np.array([(-1, 0), (-0.5, 0.35), (-0.75, 0.33), (-0.3, 0.68), (-0.45, 0.66), (0, 1)])
    spire = np.concatenate([left, (left * (-1, 1))[-2::-1]])
    lit = np.array([(0, 0), (stage.side, 0), (stage.side * 0.35, 0.6), (0, 1)])
    pen = Pen(stage, 0, 0, 1.0, distance)
    shades = rng.uniform(0.75, 1.2, count)
    pen.fill_all(place + scale * spire, colour, shades.tolist())
    pen.fill_all(place + scale * lit, colour, (shades * 1.25).tolist())


def balloon(pen: Pen) -> None:
    """A hot-air balloon: gores, a chequerboard or a broad band, in three bright colours."""
    bright = ["#ce342c", "#f2bc2e", "#2c62b0", "#eeeae0", "#3a8e54", "#e27428", "#783e8c"]
    tables = [_shiny(colour) for colour in pen.stage.rng.permutation(bright)[:3]]
    pattern = int(pen.stage.rng.integers(3))
    gores = pen.stage.pick(4, 5, 6)

    def skin(u: Array, v: Array) -> Array:
        across = np.arcsin((u / np.sqrt((1 - v * v).clip(0.02, 1))).clip(-1, 1)) / np.pi + 0.5
        gore = (across * gores * 2).astype(np.int64)
        band = ((v + 1) * 3.5).astype(np.int64)
        return np.asarray(np.abs((gore, gore + band, gore // 2 + 2 * (band == 3))[pattern]) % 3)

    solid(pen, 0, 0.62, 0.36, 0.4, tables, bend=SHAPES["balloon"], skin=skin)
    drawing(pen, "basket")


def airship(pen: Pen) -> None:
    """A dirigible: a long envelope with a stripe, fins and a gondola."""
    hull = pen.stage.pick("#ced2d8", "#e2ded2", "#bcc4d0")
    mark = pen.stage.pick("#c4322c", "#2854a0", "#e8a028", "#347860")
    drawing(pen, "airship_back", mark)

    def skin(u: Array, v: Array) -> Array:
        return np.asarray((np.abs(v - 0.28) < 0.12) | (u < -0.9), np.int64)

    solid(pen, 0, 0.5, 1.3, 0.34, [_shiny(hull), _shiny(mark)], skin=skin)
    drawing(pen, "airship_front", mark)


def _shiny(colour: str) -> Array:
    lit = np.array(rgb(colour))
    return ramp(lit * 0.33, lit, lit * 1.08 + 30)


def pizza(pen: Pen) -> None:
    """A pizza with three of four toppings strewn over it."""
    drawing(pen, "pizza")
    rng = pen.stage.rng
    for topping in rng.permutation(["salami", "olive", "basil", "tomato"])[:3]:
        angles = rng.uniform(0, 6.3, 9)
        radii = np.sqrt(rng.uniform(0.02, 0.6, 9))
        for angle, radius in zip(angles, radii, strict=True):
            x = pen.x + radius * np.cos(angle) * pen.size
            y = pen.y - (0.45 + 0.86 * radius * np.sin(angle)) * pen.size
            drawing(replace(pen, x=x, y=y, flip=pen.stage.pick(-1, 1)), topping)


def bananas(pen: Pen) -> None:
    """A hand of two to four bananas."""
    hang = pen.stage.vary(-0.25, 0.25)
    for k in range(int(pen.stage.rng.integers(2, 5))):
        drawing(replace(pen, tilt=hang + 0.17 * k * pen.flip), "banana")


# A fruit is one of these drawings.
VARIANTS = {
    "orange": (*["orange"] * 4, "orange_half"),
    "lemon": (*["lemon"] * 4, "lemon_half"),
    "citrus": (
        "orange", "lemon", "lime", "grapefruit", "orange_half", "lime_half", "grapefruit_half",
    ),
}  # fmt: skip
# What is not a drawing of the table alone.
GROWN: dict[str, Callable[[Pen], None]] = {
    "pine": pine,
    "balloon": balloon,
    "airship": airship,
    "pizza": pizza,
    "banana": bananas,
}


def draw(pen: Pen, name: str) -> None:
    """The thing called ``name``, whichever way it is made."""
    name = pen.stage.pick(*VARIANTS.get(name, (name,)))
    if name in SPECIES:
        conifer(pen, name)
    elif name in GROWN:
        GROWN[name](pen)
    else:
        drawing(pen, name)

"""Landscapes, and a table top: where the sample's pictures are set (chapter 1)."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from imnetlib.course.sample import things
from imnetlib.course.sample.brushes import (
    Array,
    Colour,
    Pen,
    Stage,
    blend,
    coloured,
    line,
    noise,
    ramp,
    rgb,
    ridge,
    sky,
    table_rows,
    veil,
    water,
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where things stand in a setting (y in pixels): close by, far away, and on any water."""

    near: float
    far: float
    water: float = 0.0


# The colours of a material in shadow and in light.
Tones = tuple[Colour, Colour]


@functools.cache
def _tones() -> dict[str, list[Tones]]:
    """The colours that each kind of ground, water or cloth comes in."""
    found: dict[str, list[Tones]] = defaultdict(list)
    for kind, dark, bright in table_rows("sample_tones.tsv"):
        found[kind].append((rgb(dark), rgb(bright)))
    return found


def _tone(stage: Stage, *kinds: str) -> Tones:
    """One of the colourings of any of ``kinds``."""
    tones = [pair for kind in kinds for pair in _tones()[kind]]
    chosen: Tones = stage.pick(*tones)
    return chosen


def _across(stage: Stage) -> Array:
    """The columns of the picture from 0 to 1."""
    return np.arange(stage.width) / stage.width


def _meadow(stage: Stage, y: float, wave: float, distance: float) -> Array:
    """Rolling ground from ``y`` down, white in winter, at times in flower; returns its crest."""
    h = stage.height
    crest = y + line(stage, 2, 0.35) * wave
    tones = _tone(stage, "snow" if stage.winter else "meadow")
    stretch = (1.4 - distance, 0.5)
    ridge(stage, crest, h, tones, distance=distance, relief=0.2, grit=0.75, stretch=stretch)
    if distance < 0.2 and not stage.winter:
        depth = stage.rng.uniform(0.15, 1, 50) ** 2
        flower_x = stage.rng.uniform(0, stage.width, 50)
        flower_y = y + depth * (h - y)
        colour = _tone(stage, "flower")[1]
        for i in range(int(stage.rng.integers(-25, 50))):
            Pen(stage, flower_x[i], flower_y[i], 1 + 2 * depth[i]).oval(0, 0, 1, 1, colour)
    return crest


def _mountains(stage: Stage, y: float, high: float, distance: float, peak: float = 0.0) -> None:
    """Mountains whose feet are at ``y``; with ``peak`` (0..1 across) one of them towers."""
    crest = y - high * (0.45 + 0.4 * line(stage, 3, 0.55))
    if peak:
        spire = 1 - np.abs(_across(stage) - peak) * stage.vary(2.8, 3.4)
        spire += 0.16 * line(stage, 5, 0.62)
        crest = np.minimum(crest, y - high * 1.5 * spire.clip(0, None))
    snow = high * (0.25 + 0.6 * stage.snow) * (1.5 if peak else 1.0)
    foot = int(y + 4 + 0.12 * stage.height * bool(peak))
    tones = _tone(stage, "rock")
    ridge(stage, crest, foot, tones, distance=distance, snow=snow, stretch=(0.5, 1.0))


def _wood(stage: Stage, crest: Array, size: float, distance: float, count: int) -> None:
    things.forest(stage, crest, size, _tone(stage, "wood")[0], distance, count)


def _plume(stage: Stage, x: float, y: float, high: float, wide: float, tones: Tones) -> None:
    """Smoke or steam that rises, widens and drifts.

    Args:
        stage: where it is painted.
        x: where it begins, in pixels.
        y: where it begins, in pixels.
        high: how far it rises, in pixels.
        wide: its first width, in pixels.
        tones: its colours, dark to light.
    """
    table = ramp(*tones)
    drift = stage.pick(-1, 1) * stage.vary(0.1, 0.8)
    for k in np.linspace(0, 1, 13):
        r = wide * (0.55 + 1.9 * k)
        px = x + drift * high * 0.5 * k**1.6 + stage.vary(-0.4, 0.4) * r
        py = y - high * k
        n = int(r * 1.3) + 2
        v, u = np.ogrid[-n:n, -n:n]
        puff = noise(stage, (2 * n, 2 * n), (0.3, 0.3))
        body = 1 - np.sqrt(u * u + v * v) / r + 1.7 * (puff - 0.5)
        light = 0.3 + (stage.side * u - v) * 0.35 / r + 0.5 * body
        alpha = (body * 2.2).clip(0, 0.9 - 0.45 * k)
        blend(stage, int(py) - n, int(px) - n, coloured(light, table), alpha)


def _foam(stage: Stage, y: Array, thick: float, strength: Array | float) -> None:
    """A white line of surf along ``y``."""
    away = np.abs(np.arange(stage.height)[:, None] - y[None]) / thick
    veil(stage, 0, (1 - away).clip(0, 1) * strength, (246, 248, 248))


def alp(stage: Stage) -> Places:
    """One great snowy peak over woods and a meadow."""
    h = stage.height
    sky(stage, h * 0.7, stage.vary(0, 0.8))
    _mountains(stage, h * 0.66, h * stage.vary(0.2, 0.3), 0.5)
    _mountains(stage, h * 0.78, h * stage.vary(0.34, 0.46), 0.12, peak=stage.vary(0.35, 0.65))
    rows = np.linspace(-1, 1, int(h * 0.12), dtype=np.float32)[:, None]
    veil(stage, int(h * 0.68), stage.vary(0, 0.5) * (1 - rows * rows), stage.mood.low)
    crest = _meadow(stage, h * stage.vary(0.74, 0.84), h * 0.03, 0.1)
    _wood(stage, crest, h * 0.09, 0.22, 60)
    return Places(h * 0.96, h * 0.86)


def valley(stage: Stage) -> Places:
    """Two wooded slopes that meet in a green floor with a river, mountains behind."""
    h = stage.height
    w = stage.width
    x = _across(stage)
    sky(stage, h * 0.6, stage.vary(0, 0.8))
    _mountains(stage, h * 0.56, h * stage.vary(0.22, 0.36), 0.5)
    middle = stage.vary(0.4, 0.6)
    floor = h * stage.vary(0.55, 0.62)
    first = stage.pick(-1, 1)
    _meadow(stage, floor, h * 0.01, 0.25)
    for side, distance in ((first, 0.28), (-first, 0.1)):
        rise = ((x - middle) * side * 1.9 + 0.06).clip(-0.4, None) + 0.08 * line(stage, 4, 0.55)
        crest = floor + h * 0.12 - h * rise * stage.vary(0.7, 1.0)
        tones = _tone(stage, "rock", "meadow", "meadow")
        snow = h * 0.2 * max(0, stage.snow - 0.4)
        ridge(stage, crest, h, tones, distance=distance, snow=snow, stretch=(0.5, 0.9))
        for below in (0.05, 0.12, 0.21, 0.33):
            _wood(stage, crest + h * below, h * (0.03 + 0.1 * below), distance + 0.05, 26)
    t = np.linspace(0, 1, 24)
    centre = w * (middle + stage.pick(-1, 1) * 0.16 * np.sin(t * 5) * t + (0.5 - middle) * t)
    y = floor + h * 0.02 + (h * 1.02 - floor) * t**1.3
    pen = Pen(stage, 0, 0, 1.0)
    green = _tone(stage, "snow" if stage.winter else "meadow")[1]
    stream = [0.5 * c + 0.5 * b for c, b in zip(stage.mood.low, (70, 120, 150), strict=True)]
    for wide, flare, colour, shade in ((0.03, 0.42, green, 0.8), (0.006, 0.07, stream, 1.0)):
        half = w * (wide + flare * t)
        left = np.stack([centre - half, -y], 1)
        right = np.stack([centre + half, -y], 1)
        pen.fill(np.concatenate([left, right[::-1]]), colour, shade)
    return Places(h * 0.94, h * 0.74)


def lake(stage: Stage) -> Places:
    """Mountains and woods mirrored in still water, a bank in front."""
    h = stage.height
    level = h * stage.vary(0.5, 0.6)
    sky(stage, level, stage.vary(0, 0.8))
    _mountains(stage, level - h * 0.04, h * stage.vary(0.22, 0.36), 0.45)
    crest = level - h * stage.vary(0.05, 0.1) * (1 + 0.7 * line(stage, 3, 0.5))
    ridge(stage, crest, int(level) + 1, _tone(stage, "meadow"), distance=0.25, relief=0.3)
    _wood(stage, np.full(stage.width, level - h * 0.02), h * 0.07, 0.22, 70)
    water(stage, level, _tone(stage, "lake")[1], stage.vary(0.4, 1.2), stage.vary(0.72, 0.9))
    _meadow(stage, h * stage.vary(0.9, 0.95), h * 0.03, 0.0)
    return Places(h * 0.97, level + h * 0.01, level + h * 0.2)


def hills(stage: Stage) -> Places:
    """Rolling meadows, low mountains far away."""
    h = stage.height
    sky(stage, h * 0.62, stage.vary(0, 0.9))
    _mountains(stage, h * 0.6, h * stage.vary(0.12, 0.24), 0.6)
    crest = _meadow(stage, h * stage.vary(0.54, 0.6), h * 0.04, 0.42)
    _wood(stage, crest, h * 0.05, 0.45, 40)
    _meadow(stage, h * stage.vary(0.68, 0.74), h * 0.05, 0.15)
    return Places(h * 0.93, h * 0.74)


def sea(stage: Stage) -> Places:
    """Open water to the horizon; often islands, or a headland."""
    h = stage.height
    level = h * stage.vary(0.42, 0.54)
    sky(stage, level, stage.vary(0, 0.9))
    if stage.rng.random() < 0.4:
        _mountains(stage, level + 1, h * stage.vary(0.05, 0.12), 0.6)
    elif stage.rng.random() < 0.7:
        rise = ((_across(stage) - 0.5) * stage.pick(-3, 3)).clip(0, 1) * (1 + 0.4 * line(stage, 4))
        crest = level + 2 - 0.16 * h * rise
        ridge(stage, crest, int(level) + 2, _tone(stage, "rock", "meadow"), distance=0.3)
    water(stage, level, _tone(stage, "sea")[1], stage.vary(1.2, 2.4), stage.vary(0.25, 0.5))
    return Places(h * 0.93, level + h * 0.01, level + h * 0.2)


def coast(stage: Stage) -> Places:
    """The sea, its surf and a beach."""
    places = sea(stage)
    h = stage.height
    shore = h * (0.78 + stage.vary(-0.2, 0.2) * (_across(stage) - 0.5))
    shore += h * 0.03 * line(stage, 3, 0.4)
    for out, strength in ((0.1, 0.5), (0.055, 0.75), (0.012, 1.0)):
        y = shore - h * (out + 0.012 * line(stage, 6, 0.6))
        _foam(stage, y, h * (0.02 - 0.1 * out), strength)
    sand = _tone(stage, "sand")
    ridge(stage, shore + h * 0.01, h, sand, relief=0.1, grit=0.5, stretch=(1.6, 0.7))
    return replace(places, water=places.far + h * 0.14)


def volcano(stage: Stage) -> Places:
    """A smoking cone with snow, or streams of lava."""
    h = stage.height
    w = stage.width
    base = h * 0.78
    peak = stage.vary(0.42, 0.58)
    high = h * stage.vary(0.42, 0.54)
    mouth = stage.vary(0.06, 0.11)
    sky(stage, h * 0.75, stage.vary(0, 0.6))
    away = np.abs(_across(stage) - peak) * w / h
    crest = base - high * np.exp(-(away - mouth).clip(0, None) * stage.vary(1.9, 2.5))
    crest += h * (0.008 * line(stage, 6, 0.7) + 0.22 * (mouth - away).clip(0, None))
    top = float(crest.min())
    _plume(stage, w * peak, top + h * 0.03, top + h * 0.04, mouth * h, _tone(stage, "smoke"))
    lava = stage.rng.random() < 0.4
    snow = 0.0 if lava else high * stage.vary(0, 0.6)
    tones = _tone(stage, "ash")
    steep = (0.35, 2.2)
    ridge(stage, crest, int(base) + 9, tones, distance=0.12, snow=snow, grit=0.6, stretch=steep)
    pen = Pen(stage, 0, 0, 1.0)
    for _ in range(4 * lava):
        steps = np.linspace(0, 1, 9)
        wander = np.cumsum(stage.rng.normal(0, 0.02 * h, 9))
        x = w * peak + (stage.vary(-0.6, 0.6) * high + wander) * steps
        flow = np.stack([x, -(top + h * 0.025 + steps * high * stage.vary(0.25, 0.75))], 1)
        pen.stroke(flow, (206, 54, 20), stage.vary(3, 6))
        pen.stroke(flow, (255, 190, 70), 2)
    _wood(stage, _meadow(stage, base, h * 0.03, 0.12), h * 0.06, 0.2, 50)
    return Places(h * 0.95, h * 0.84)


def cliff(stage: Stage) -> Places:
    """A banded rock face that falls into the sea, a second one behind."""
    h = stage.height
    level = h * stage.vary(0.62, 0.72)
    sky(stage, level, stage.vary(0, 0.9))
    water(stage, level, _tone(stage, "sea")[1], stage.vary(1.0, 2.0), stage.vary(0.4, 0.6))
    x = _across(stage)[:: stage.pick(-1, 1)]
    tones = _tone(stage, "cliff")
    for edge, high, foot, distance in ((0.72, 0.34, 0.02, 0.35), (0.52, 0.55, 0.12, 0.05)):
        wall = 1 / (1 + np.exp((x - edge + stage.vary(-0.06, 0.06)) * 38))
        rough = 0.02 * line(stage, 8, 0.7) + 0.04 * high
        bottom = level + h * foot
        crest = level + h * rough - h * high * wall * (1 + 0.06 * line(stage, 2))
        crest = np.minimum(crest, bottom + 3)
        reach = int(bottom)
        bands = (3.0, 0.3)
        ridge(stage, crest, reach, tones, distance=distance, relief=0.12, grit=1.0, stretch=bands)
        depth = np.arange(h)[:, None] - crest
        grass = (depth > -1) & (depth < h * 0.03) & (wall > 0.6)
        veil(stage, 0, grass * (1 - distance), _tone(stage, "meadow")[1])
    _foam(stage, level + h * (0.12 + 0.01 * line(stage, 9, 0.7)), h * 0.015, x < 0.62)
    return Places(h * 0.97, level + h * 0.01, level + h * 0.16)


def geyser(stage: Stage) -> Places:
    """A white column over a pale terrace, woods behind."""
    h = stage.height
    w = stage.width
    sky(stage, h * 0.66, stage.vary(0, 0.6))
    crest = h * stage.vary(0.56, 0.62) + line(stage, 2, 0.4) * h * 0.04
    ridge(stage, crest, h, _tone(stage, "meadow"), distance=0.35)
    _wood(stage, crest + h * 0.05, h * 0.09, 0.3, 70)
    ground = h * 0.7 + line(stage, 2, 0.4) * h * 0.02
    ridge(stage, ground, h, _tone(stage, "sinter"), relief=0.15, grit=0.7, stretch=(1.6, 0.5))
    x = w * stage.vary(0.4, 0.6)
    y = h * 0.82
    pool = Pen(stage, x, y, h)
    pool.oval(0, 0, 0.28, 0.05, (206, 150, 78))
    pool.oval(0, 0, 0.23, 0.038, (120, 182, 190))
    _plume(stage, x, y - h * 0.03, h * stage.vary(0.55, 0.75), h * 0.055, _tone(stage, "steam"))
    for _ in range(14):
        lean = stage.vary(-0.05, 0.05)
        top = stage.vary(0.15, 0.42)
        bend = [(lean * 0.8 + 0.01, top * 0.8), (lean, top), (lean * 0.8 - 0.012, top * 0.75)]
        pool.fill([(-0.012, 0), (0.012, 0), *bend], (240, 246, 252))
    return Places(h * 0.95, h * 0.74)


def air(stage: Stage) -> Places:
    """Sky almost all the way down."""
    h = stage.height
    sky(stage, h * 0.95, stage.vary(0.2, 1.0))
    crest = _meadow(stage, h * stage.vary(0.84, 0.92), h * 0.03, 0.45)
    _wood(stage, crest, h * 0.04, 0.45, 30)
    return Places(h * 0.97, h * 0.92)


def table(stage: Stage) -> Places:
    """A table top: planks, a checked cloth, or stone."""
    h = stage.height
    w = stage.width
    y, x = np.ogrid[:h, :w]
    # Stone twice as often as either of the others.
    material = ("plank", "cloth", "stone", "stone")[int(stage.rng.integers(4))]
    light: Array
    if material == "plank":
        plank = h / stage.vary(4, 7)
        light = 0.5 + (noise(stage, (h, w), (8, 0.5)) - 0.5) * 1.5 + 0.12 * np.sin(y // plank * 2.4)
        light = light - 0.5 * (y % plank < 2)
    elif material == "cloth":
        cell = stage.vary(18, 34)
        light = 1 - 0.4 * (x // cell % 2 + y // cell % 2)
        light = light + (noise(stage, (h, w), (0.6, 0.6)) - 0.5) * 0.3
    else:
        light = noise(stage, (h, w), (0.9, 0.9))
    stage.pixels[:] = coloured(light, ramp(*_tone(stage, material)))
    veil(stage, 0, np.linspace(0.3, 0, h)[:, None], (40, 32, 28))
    return Places(h * 0.9, h * 0.35)


SETTINGS: dict[str, Callable[[Stage], Places]] = {
    "alp": alp,
    "valley": valley,
    "lake": lake,
    "hills": hills,
    "sea": sea,
    "coast": coast,
    "volcano": volcano,
    "cliff": cliff,
    "geyser": geyser,
    "sky": air,
    "table": table,
}

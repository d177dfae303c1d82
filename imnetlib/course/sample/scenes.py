"""The sample's pictures: a setting, the thing a class is named for, and its company (chapter 1).

``data/sample_classes.tsv`` says for each class where it is found, what stands in the middle and
what else may. Several of a picture's things are classes themselves, and siblings keep each other
company, so a classifier hesitates between neighbours, as it does on photographs.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from imnetlib.course.sample import things
from imnetlib.course.sample.brushes import Mood, Pen, Stage, grain_sheet, table_rows
from imnetlib.course.sample.landscapes import SETTINGS, Places, table


@dataclass(frozen=True, slots=True)
class Motif:
    """One class: its inner synset in the development kit, and what its pictures show."""

    wnid: str
    group: str
    settings: tuple[str, ...]
    subject: str
    company: tuple[str, ...]


@functools.cache
def motifs() -> dict[str, Motif]:
    """The classes of the sample by wnid."""
    found = {}
    for wnid, group, settings, subject, company in table_rows("sample_classes.tsv"):
        choices = tuple(settings.split(","))
        found[wnid] = Motif(wnid, group, choices, subject, tuple(company.split(",")))
    return found


# Noon, forenoon, morning, evening, dusk, overcast; and how often each is met.
MOODS = (
    Mood((58, 112, 186), (198, 220, 236), (1.0, 1.0, 0.98)),
    Mood((84, 138, 196), (222, 230, 232), (1.02, 1.0, 0.96)),
    Mood((108, 146, 196), (248, 222, 186), (1.07, 1.0, 0.9)),
    Mood((74, 94, 150), (248, 196, 148), (1.08, 0.97, 0.88)),
    Mood((66, 72, 120), (232, 172, 158), (1.0, 0.93, 0.97)),
    Mood((146, 158, 172), (214, 218, 220), (0.96, 0.98, 1.0)),
)
MOOD_ODDS = (0.26, 0.22, 0.18, 0.12, 0.06, 0.16)
SHAPES = ((500, 375), (375, 500), (500, 333), (333, 500), (400, 300), (240, 180), (1024, 768))
SHAPE_ODDS = (0.58, 0.14, 0.11, 0.05, 0.07, 0.03, 0.02)

# Where a thing belongs, and the least and the greatest size of a subject as a share of the
# picture's shorter side. All other things are trees.
STANDS = {
    "balloon": ("air", 0.34, 0.66),
    "airship": ("air", 0.16, 0.3),
    "airliner": ("air", 0.16, 0.3),
    "catamaran": ("water", 0.3, 0.6),
    "trimaran": ("water", 0.3, 0.6),
    "canoe": ("water", 0.08, 0.15),
    "suspension_bridge": ("span", 0.26, 0.44),
    "steel_arch_bridge": ("span", 0.26, 0.44),
    "viaduct": ("span", 0.34, 0.52),
    "castle": ("land", 0.27, 0.46),
    "church": ("land", 0.31, 0.53),
    "barn": ("land", 0.26, 0.44),
    "yurt": ("land", 0.21, 0.35),
    "beacon": ("land", 0.39, 0.66),
}


def _place(stage: Stage, name: str, places: Places, x: float, share: float) -> None:
    """Put a thing where it belongs in the setting, at ``x`` from 0 to 1.

    ``share`` is its size as a part of a subject's: 1 for the subject itself.
    """
    h = stage.height
    is_subject = share == 1
    where, low, high = STANDS.get(name, ("wood", 0.5, 0.86))
    size = min(h, stage.width) * stage.vary(low, high) * share
    distance = 0.0 if is_subject else 0.12
    pen = Pen(stage, x * stage.width, places.near, size, distance, stage.pick(-1, 1))
    if where == "water" and not places.water:
        return
    if where == "wood":
        count = int(stage.rng.integers(2, 6)) + 2 * (name == "conifers")
        things.grove(pen, name, count, 0.11 * count, guests=0.45)
        return
    if where == "air":
        y = h * (stage.vary(0.52, 0.7) if is_subject else stage.vary(0.15, 0.4))
        tilt = stage.vary(-0.2, 0.2)
        pen = replace(pen, y=y, tilt=tilt * (name != "balloon"))
    elif where == "water":
        pen = replace(pen, y=max(places.water, places.far + size * 0.12))
    elif where == "span":
        y = places.far + size * (0.35 if name == "viaduct" else 0.05)
        pen = replace(pen, y=y, distance=0.06)
    else:
        # Houses are drawn with their lit side on the right.
        y = min(places.near, h * 0.86) if is_subject else places.far
        pen = replace(pen, y=y, flip=stage.side)
    things.draw(pen, name)
    if name == "viaduct" and stage.rng.random() < 0.5:
        things.draw(pen, "train")


def _landscape(stage: Stage, motif: Motif) -> None:
    """A setting, one to three things off the middle, and the subject where that is a thing."""
    places = SETTINGS[stage.pick(*motif.settings)](stage)
    company = stage.rng.permutation(motif.company)[: int(stage.rng.integers(1, 4))]
    first = stage.pick(-1, 1)
    for name, side in zip(company, (first, -first, 0.3), strict=False):
        _place(stage, str(name), places, 0.5 + side * stage.vary(0.22, 0.4), stage.vary(0.3, 0.55))
    if motif.subject != "-":
        _place(stage, motif.subject, places, stage.vary(0.4, 0.6), 1)


def _still_life(stage: Stage, motif: Motif) -> None:
    """Fruit on a table, the back row first; a pizza has the middle to itself."""
    h = stage.height
    w = stage.width
    unit = min(h, w)
    table(stage)
    if motif.subject == "pizza":
        pen = Pen(stage, w * 0.5, h * 0.52 + unit * 0.2, unit * stage.vary(0.38, 0.48))
        things.draw(pen, "pizza")
        names = []
        most_company = 2
        spread = 0.42
        size = unit * 0.22
    else:
        is_banana = motif.subject == "banana"
        most_company = 2 if is_banana else int(stage.rng.integers(2, 5))
        names = [motif.subject] * most_company
        spread = 0.25
        size = unit * stage.vary(0.28, 0.42) * (1.25 if is_banana else 1.0)
    company = int(stage.rng.integers(0, most_company + 1))
    names += [stage.pick(*motif.company) for _ in range(company)]
    feet = np.sort(stage.rng.uniform(0.46, 0.9, len(names)))
    order = stage.rng.permutation(len(names))
    for i, (which, foot) in enumerate(zip(order, feet, strict=True)):
        x = w * (0.5 + spread * np.sin(i * 2.4 + stage.vary(-0.4, 0.4) + foot))
        tilt = stage.vary(-0.4, 0.4)
        flip = stage.pick(-1, 1)
        pen = Pen(stage, x, h * foot, size * (0.75 + 0.3 * foot), 0.0, flip, tilt)
        things.draw(pen, names[which])


def _photograph(stage: Stage) -> npt.NDArray[np.uint8]:
    """The picture as a camera takes it: zoom 1 to 1.75, a slight turn, light, blur and grain."""
    h = stage.height
    w = stage.width
    zoom = 1.04 + 0.71 * stage.rng.beta(1, 3)
    centre = (w * stage.vary(0.45, 0.55), h * stage.vary(0.5, 0.62))
    view = cv2.getRotationMatrix2D(centre, stage.vary(-3, 3), zoom)
    border = cv2.BORDER_REFLECT_101
    taken = cv2.warpAffine(stage.pixels, view, (w, h), flags=cv2.INTER_LINEAR, borderMode=border)
    if stage.rng.random() < 0.3:
        taken = cv2.GaussianBlur(taken, (0, 0), stage.vary(0.5, 1.1) * h / 375)
    light = np.arange(256)[:, None] / 255 * np.array(stage.mood.light) * stage.vary(0.88, 1.1)
    curve = (light.clip(0, 1) ** stage.vary(0.85, 1.18) * 255).astype(np.uint8)
    y, x = stage.rng.integers(0, 200, 2).tolist()
    grain = grain_sheet()[y : y + h, x : x + w]
    # The largest pictures are wider than a piece of the sheet can be.
    if w > 800:
        grain = np.asarray(cv2.resize(grain_sheet(), (w, h)), np.uint8)
    strength = stage.vary(0.1, 0.28)
    finished = cv2.addWeighted(cv2.LUT(taken, curve[None]), 1.0, grain, strength, -128 * strength)
    return np.asarray(finished, np.uint8)


def paint(motif: Motif, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """One picture of a class: uint8 RGB, height × width × 3. Costs about 11 ms at 500 × 375."""
    width, height = SHAPES[int(rng.choice(len(SHAPES), p=SHAPE_ODDS))]
    mood = MOODS[int(rng.choice(len(MOODS), p=MOOD_ODDS))]
    canvas = np.full((height, width, 3), mood.low, np.uint8)
    stage = Stage(canvas, rng, mood, int(rng.choice([-1, 1])), float(rng.random()))
    if motif.settings == ("table",):
        _still_life(stage, motif)
    else:
        _landscape(stage, motif)
    return _photograph(stage)

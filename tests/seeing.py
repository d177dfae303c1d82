"""Colours as people see them: contrast, colour blindness, and how far two of them are apart.

Also what the reading site's dark theme makes of them.
"""

from __future__ import annotations

import functools
import itertools
import re
from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex, to_rgb

CSS = Path(__file__).parents[1] / "docs/_static/course.css"

# G. Machado, M. Oliveira, L. Fernandes, 2009: linear RGB as it is seen without one kind of cone.
BLIND = {
    "none": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
# IEC 61966-2-1, white of D65.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
# W3C, Filter Effects Module Level 1: hue-rotate is a turn about gray that keeps this luminance.
LUMINANCE = np.array([0.213, 0.715, 0.072])
TURN = np.array([[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]])


@functools.cache
def dark_filter() -> tuple[tuple[str, float], ...]:
    """The functions of CSS that turn a drawing dark, each with its number."""
    (chain,) = re.findall(r"filter: ((?!none).*);", CSS.read_text(encoding="utf-8"))
    functions = re.findall(r"([\w-]+)\(([\d.]+)(?:deg)?\)", chain)
    return tuple((name, float(number)) for name, number in functions)


def in_the_dark(color: object) -> str:
    """What the site's dark theme makes of a colour of a drawing."""
    rgb = np.array(to_rgb(color))
    for name, number in dark_filter():
        if name == "invert":
            rgb = number + (1 - 2 * number) * rgb
        elif name == "hue-rotate":
            angle = np.radians(number)
            gray = np.tile(LUMINANCE, (3, 1))
            turned = gray + np.cos(angle) * (np.eye(3) - gray) + np.sin(angle) * TURN
            rgb = turned @ rgb
        else:
            raise ValueError(f"what does {name} do to a colour?")
        rgb = np.clip(rgb, 0, 1)
    return to_hex(rgb)


def linear(color: object) -> np.ndarray:
    """Linear RGB of anything that Matplotlib takes for a colour."""
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: object, other: object = "white") -> float:
    """WCAG 2's ratio of two colours' luminances, 1 to 21."""
    dark, light = sorted(float(linear(color) @ TO_XYZ[1]) for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def lab(light: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB."""
    white = TO_XYZ.sum(axis=1)
    ratio = TO_XYZ @ np.clip(light, 0, 1) / white
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def ciede2000(one: np.ndarray, other: np.ndarray) -> float:
    """How far apart two colours of CIELAB look: G. Sharma, W. Wu, E. Dalal, 2005."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretched = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25**7))
    c1 = np.hypot(stretched * a1, b1)
    c2 = np.hypot(stretched * a2, b2)
    h1 = np.degrees(np.arctan2(b1, stretched * a1)) % 360
    h2 = np.degrees(np.arctan2(b2, stretched * a2)) % 360
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0
    hue = (h1 + turn / 2) % 360 if c1 * c2 else h1 + h2
    hues = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    middle = (l1 + l2) / 2
    mean = (c1 + c2) / 2
    t = 1 - 0.17 * np.cos(np.radians(hue - 30)) + 0.24 * np.cos(np.radians(2 * hue))
    t += 0.32 * np.cos(np.radians(3 * hue + 6)) - 0.2 * np.cos(np.radians(4 * hue - 63))
    by_lightness = (l2 - l1) / (1 + 0.015 * (middle - 50) ** 2 / np.sqrt(20 + (middle - 50) ** 2))
    by_chroma = (c2 - c1) / (1 + 0.045 * mean)
    by_hue = hues / (1 + 0.015 * mean * t)
    blue = np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    rotation = -2 * np.sqrt(mean**7 / (mean**7 + 25**7)) * blue
    squares = by_lightness**2 + by_chroma**2 + by_hue**2 + rotation * by_chroma * by_hue
    return float(np.sqrt(squares))


def apart(one: object, other: object) -> float:
    """CIEDE2000 of two colours for whoever sees them least apart."""
    pair = linear(one), linear(other)
    return min(ciede2000(*(lab(cones @ light) for light in pair)) for cones in BLIND.values())


def least_apart(colors: object) -> tuple[float, object]:
    """The two of some colours that are least apart, and how far."""
    pairs = itertools.combinations(colors, 2)  # type: ignore[call-overload]
    return min(((apart(*pair), pair) for pair in pairs), default=(100.0, ()))

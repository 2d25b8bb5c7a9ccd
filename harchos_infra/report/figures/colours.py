"""Colours for quantities: lightness alone tells the order, to every kind of colour vision and on grey paper.

A colour of lightness L, chroma C and hue h in Oklab (B. Ottosson, 2020) has a = C cos h, b = C sin h. Its
cone responses are the cubes of M1 (L, a, b), linear RGB is M2 of those. L falls evenly along the ramp, from a
pale yellow to a dark violet; C and h are linear between the knots.
"""

from __future__ import annotations

from itertools import pairwise
from math import cos, radians, sin

LIGHTEST, DARKEST = 0.945, 0.29
_KNOTS = ((0.05, 115.0), (0.13, 85.0), (0.16, 55.0), (0.16, 25.0), (0.13, -15.0), (0.07, -50.0))
"""Chroma and hue in degrees, equally far apart along the ramp."""


def ramp(count: int) -> tuple[str, ...]:
    """Return `count` (two or more) sRGB colours as `#rrggbb`, from the lightest to the darkest."""
    return tuple(_colour(index / (count - 1)) for index in range(count))


def _colour(place: float) -> str:
    """Return the colour at a place from 0 to 1 along the ramp."""
    lightness = LIGHTEST + place * (DARKEST - LIGHTEST)
    knots = tuple(pairwise(_KNOTS))
    knot = min(int(place * len(knots)), len(knots) - 1)
    (chroma, hue), (next_chroma, next_hue) = knots[knot]
    part = place * len(knots) - knot
    chroma += part * (next_chroma - chroma)
    hue += part * (next_hue - hue)
    a, b = chroma * cos(radians(hue)), chroma * sin(radians(hue))
    return "#" + "".join(f"{round(255 * _encoded(linear)):02x}" for linear in _linear_rgb(lightness, a, b))


def _linear_rgb(lightness: float, a: float, b: float) -> tuple[float, float, float]:
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _encoded(linear: float) -> float:
    """Return a linear sRGB component as it is stored, from 0 to 1."""
    bounded = min(1.0, max(0.0, linear))
    return 12.92 * bounded if bounded <= 0.0031308 else 1.055 * bounded ** (1 / 2.4) - 0.055

"""Makes the colour profile that a PNG means by numbers, so that a library can convert it like any other.

::

    of_code_points(12, 13)  # Display P3, as an ICC profile
    of_gamma(1.0, None)

Tables and matrices are those of ITU-T H.273 (code points), ICC.1:2001-04 (profiles) and Bradford (white points).
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise, product

Curve = Callable[[float], float]
"""From a value to an amount of light, both from 0 to 1"""
Matrix = Sequence[Sequence[float]]
_D65, _C = (0.3127, 0.329), (0.310, 0.316)
_BT709 = (*_D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_BT601 = (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07)
# By their code points: x and y of white, red, green and blue.
_PRIMARIES: dict[int, Sequence[float]] = {
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: _BT601,
    7: _BT601,
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    10: (1 / 3, 1 / 3, 1, 0, 0, 1, 0, 0),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (*_D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_STEPS = 1024  # of a curve
_GRID = 21  # values of each part of a colour, in a table
_WHITE = 203  # cd/m2 of white paper in pictures of high dynamic range (ITU-R BT.2408)
# What Chromium shows of light that is brighter than white, in multiples of half of it.
_DIMMED = ((0, 0), (0.43, 0.43), (0.75, 0.66), (1.4, 0.85), (1.68, 0.9), (2.1, 0.95), (2.46, 1), (100, 1))


def of_code_points(primaries: int, transfer: int, *, grey: bool) -> bytes | None:
    """Return the profile of colours, or of *grey*, by code points as in a cICP chunk; None: it is sRGB, or unknown."""
    if primaries not in _PRIMARIES and transfer not in _TRANSFERS:
        return None
    return _profile(_PRIMARIES.get(primaries, _BT709), _TRANSFERS.get(transfer, _srgb), grey)


def of_gamma(gamma: float, chromaticities: Sequence[float] | None, *, grey: bool) -> bytes | None:
    """Return the profile of colours, or of *grey*, by an exponent as in a gAMA chunk.

    :param chromaticities: x and y of white, red, green and blue, as in a cHRM chunk; None: those of sRGB
    """
    try:
        return _profile(chromaticities or _BT709, _power(1 / gamma), grey)
    except (ZeroDivisionError, OverflowError, struct.error):  # no colours at all
        return None


def _power(exponent: float) -> Curve:
    return lambda value: value**exponent


def _srgb(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _smpte240(value: float) -> float:
    return value / 4 if value < 0.0913 else ((value + 0.1115) / 1.1115) ** (1 / 0.45)


def _pq(value: float) -> float:
    """SMPTE ST 2084."""
    root = value ** (32 / 2523)
    light = (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (16384 / 2610)
    return float(light * 10_000 / _WHITE / 2)


def _hlg(value: float) -> float:
    """ITU-R BT.2100, on a display of 1000 cd/m2."""
    light = value**2 / 3 if value <= 0.5 else (math.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return float(light**1.2 * 1000 / _WHITE / 2)


def _dimmed(light: float) -> float:
    """What remains of light that is brighter than a display's white."""
    index = bisect_right([start for start, _ in _DIMMED], min(light, 99)) - 1
    (start, low), (end, high) = list(pairwise(_DIMMED))[index]
    return low + (high - low) * (min(light, 99) - start) / (end - start)


_TRANSFERS: dict[int, Curve] = {
    **dict.fromkeys((1, 6, 11, 14, 15), _power(2.4)),  # as on a display (ITU-R BT.1886)
    4: _power(2.2),
    5: _power(2.8),
    7: _smpte240,
    8: _power(1),
    16: _pq,
    17: lambda value: 52.37 / 48 * value**2.6,
    18: _hlg,
}
_HIGH_RANGE = (_pq, _hlg)


def _profile(chromaticities: Sequence[float], curve: Curve, grey: bool) -> bytes:
    dimmed = _dimmed if curve in _HIGH_RANGE else float
    points = [round(65_535 * min(1, max(0, dimmed(curve(step / (_STEPS - 1)))))) for step in range(_STEPS)]
    trc = struct.pack(f">4sII{_STEPS}H", b"curv", 0, _STEPS, *points)
    if grey:
        tags = [(b"wtpt", _xyz(_D50)), (b"kTRC", trc)]
    else:
        colorants = _colorants(chromaticities)
        tags = [(b"%cXYZ" % name, _xyz(colour)) for name, colour in zip(b"rgb", colorants, strict=True)]
        tags += [(b"%cTRC" % name, trc) for name in b"rgb"]
        tags += [(b"A2B0", _table(colorants, curve))] if curve in _HIGH_RANGE else []
    place, table, data = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags:
        table += struct.pack(">4sII", name, place + len(data), len(content))
        data += content
    head = struct.pack(
        ">I4xI12s12x4s28x", place + len(data), 0x02100000, b"mntrGRAYXYZ " if grey else b"mntrRGB XYZ ", b"acsp"
    )
    return (head + _xyz(_D50)[8:]).ljust(128, b"\0") + table + data


def _xyz(colour: Sequence[float]) -> bytes:
    return struct.pack(">4sI3i", b"XYZ ", 0, *(round(65_536 * value) for value in colour))


def _table(colorants: Matrix, curve: Curve) -> bytes:
    """The light of each colour, dimmed by the brightest of its parts in BT.2020."""
    to_xyz = list(zip(*colorants, strict=True))
    wide = list(zip(*_colorants(_PRIMARIES[9]), strict=True))
    from_xyz = list(zip(*(_solved(wide, unit) for unit in ((1, 0, 0), (0, 1, 0), (0, 0, 1))), strict=True))
    values = [curve(step / (_GRID - 1)) for step in range(_GRID)]
    found = list[int]()
    for colour in product(values, repeat=3):
        xyz = _product(to_xyz, colour)
        brightest = max(1e-6, *_product(from_xyz, xyz))
        found += (round(32_768 * min(1.99, max(0, value * _dimmed(brightest) / brightest))) for value in xyz)
    identity = [65_536 * (row == column) for row in range(3) for column in range(3)]
    head = struct.pack(">4sI4B9iHH", b"mft2", 0, 3, 3, _GRID, 0, *identity, 2, 2)
    straight = struct.pack(">6H", *(0, 65_535) * 3)
    return head + straight + struct.pack(f">{len(found)}H", *found) + straight


def _colorants(chromaticities: Sequence[float]) -> Matrix:
    """The light of each primary at its full value, seen under D50."""
    white, *primaries = ((x, y, 1 - x - y) for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True))
    whole = [value / white[1] for value in white]
    shares = _solved([list(row) for row in zip(*primaries, strict=True)], whole)
    before, after = _product(_BRADFORD, whole), _product(_BRADFORD, _D50)
    seen = []
    for share, primary in zip(shares, primaries, strict=True):
        cones = _product(_BRADFORD, [share * value for value in primary])
        seen.append(_solved(_BRADFORD, [cone * new / old for cone, new, old in zip(cones, after, before, strict=True)]))
    return seen


def _product(matrix: Matrix, vector: Sequence[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def _solved(matrix: Matrix, vector: Sequence[float]) -> list[float]:
    """The x of ``matrix * x = vector`` (Cramer's rule)."""
    whole = _determinant(matrix)
    replaced = [
        [[*row[:at], value, *row[at + 1 :]] for row, value in zip(matrix, vector, strict=True)] for at in range(3)
    ]
    return [_determinant(one) / whole for one in replaced]


def _determinant(matrix: Matrix) -> float:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)

"""The colours of kinds of code can be told apart, by those who see some colours alike too."""

import re
from itertools import combinations

import pytest

from flaskprof.profiles.kinds import Kind
from flaskprof.web.assets import assets
from flaskprof.web.rows import slug_of

# How linear RGB is seen; https://doi.org/10.1109/TVCG.2009.113, at full severity.
SEEN = {
    "as it is": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
TO_XYZ = (
    (0.4124 / 0.95047, 0.3576 / 0.95047, 0.1805 / 0.95047),
    (0.2126, 0.7152, 0.0722),
    (0.0193 / 1.08883, 0.1192 / 1.08883, 0.9505 / 1.08883),
)
LEAST = 12  # a difference of 2 is just seen where colours touch


def times(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def lab(colour, seen):
    rgb = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    xyz = times(TO_XYZ, [min(max(c, 0), 1) for c in times(seen, linear)])
    x, y, z = (c ** (1 / 3) if c > 0.008856 else 7.787 * c + 16 / 116 for c in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def palettes():
    """The colours of each style sheet, for light and for dark pages, by slug."""
    for sheet, name in (("viewer.css", "kind"), ("flame.css", "flame")):
        text = assets()[sheet].body.decode()
        for number, scheme in enumerate(("light", "dark")):
            yield pytest.param(
                {
                    slug_of(kind): re.findall(
                        rf"--{name}-{slug_of(kind)}: (#[0-9a-f]{{6}});", text
                    )[number]
                    for kind in Kind
                },
                id=f"{name}-{scheme}",
            )


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("colours", list(palettes()))
def test_kinds_can_be_told_apart(colours, seen):
    values = {slug: lab(colour, SEEN[seen]) for slug, colour in colours.items()}
    distances = {
        (one, other): sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) ** 0.5
        for (one, x), (other, y) in combinations(values.items(), 2)
    }
    pair = min(distances, key=distances.get)
    assert distances[pair] >= LEAST, pair

"""The colours of the flame view: text on them reads well, and nobody takes one for another."""

import itertools
import re

import pytest

from flaskprof.profiles.paths import Kind
from flaskprof.web.assets import assets

# Simulations of full protanopia, deuteranopia and tritanopia, of linear RGB:
# https://doi.org/10.1109/TVCG.2009.113
SIGHTS = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
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
LEAST_DISTANCE = 9.0  # of CIELAB; about 2.3 is just noticed


def schemes():
    """The colours by their names, of the light scheme and of the dark one."""
    light, dark = {}, {}
    css = assets()["flame.css"].body.decode()
    for name, colour in re.findall(r"--flame-([a-z0-9-]+): (#[0-9a-f]{6});", css):
        (dark if name in light else light)[name] = colour
    return {"light": light, "dark": dark}


SCHEMES = schemes()
KINDS = [kind.value.partition(" ")[0] for kind in Kind]


def linear(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]


def luminance(colour):
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def lab(rgb):
    """CIELAB of linear RGB, for the white of sRGB."""
    rows = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    white = (0.9505, 1.0, 1.089)
    x, y, z = (
        sum(m * max(0.0, min(1.0, c)) for m, c in zip(row, rgb, strict=True)) / w
        for row, w in zip(rows, white, strict=True)
    )
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def seen(colour, sight):
    rgb = linear(colour)
    return lab([sum(m * c for m, c in zip(row, rgb, strict=True)) for row in SIGHTS[sight]])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_on_every_box_is_easily_read(scheme):
    colours = SCHEMES[scheme]
    text = luminance(colours["text"])
    files = [name for name in colours if name.startswith("file-")]
    for name in (*KINDS, *files, "tiny", "same", "slower", "faster"):
        box = luminance(colours[name])
        contrast = (max(text, box) + 0.05) / (min(text, box) + 0.05)
        assert contrast >= 4.5, (name, contrast)


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_nobody_takes_one_kind_for_another_nor_slower_for_faster(scheme, sight):
    colours = SCHEMES[scheme]
    pairs = [*itertools.combinations(KINDS, 2), ("slower", "faster"), ("added", "gone")]
    for one, other in pairs:
        first, second = seen(colours[one], sight), seen(colours[other], sight)
        distance = sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5
        assert distance >= LEAST_DISTANCE, (one, other, distance)

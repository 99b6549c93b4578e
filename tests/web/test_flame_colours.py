"""The colours of the flame view: text on them reads well, slower is never taken for faster."""

import re

import pytest
from test_kind_colours import LEAST, SEEN, lab

from flaskprof.profiles.kinds import Kind
from flaskprof.web.assets import assets


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


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_on_every_box_is_easily_read(scheme):
    colours = SCHEMES[scheme]
    text = luminance(colours["text"])
    files = [name for name in colours if name.startswith("file-")]
    for name in (*KINDS, *files, "tiny", "same", "slower", "faster"):
        box = luminance(colours[name])
        contrast = (max(text, box) + 0.05) / (min(text, box) + 0.05)
        assert contrast >= 4.5, (name, contrast)


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_nobody_takes_slower_for_faster_nor_new_for_gone(scheme, seen):
    colours = SCHEMES[scheme]
    for pair in (("slower", "faster"), ("added", "gone")):
        first, second = (lab(colours[name], SEEN[seen]) for name in pair)
        distance = sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5
        assert distance >= 2 * LEAST, (pair, distance)

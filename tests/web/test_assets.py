"""Pages stay small: what the viewer's own scripts and style sheets weigh."""

from flaskprof.web.assets import assets

MOST_SCRIPT = 60_000
MOST_OF_VIEWER = 14_000


def test_own_scripts_together_are_small():
    scripts = {name: len(a.body) for name, a in assets().items() if name.endswith(".js")}
    assert {"viewer.js", "flame.js"} <= scripts.keys()
    assert sum(scripts.values()) < MOST_SCRIPT, scripts
    assert scripts["viewer.js"] <= MOST_OF_VIEWER


def test_no_style_sheet_and_no_script_asks_anybody_else():
    for name, asset in assets().items():
        text = asset.body.decode()
        assert "@import" not in text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", ""), name
        assert "https://" not in text, name

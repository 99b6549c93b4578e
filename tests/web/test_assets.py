"""Pages stay small: what the viewer's own scripts and style sheets weigh."""

from flaskprof.web.assets import assets

MOST_SCRIPT = 60_000
MOST_OF_VIEWER = 14_000


def test_own_scripts_together_are_small():
    scripts = {
        name: len(asset.body)
        for name, asset in assets().items()
        if name.endswith(".js") and name != "flame-view.js"
    }
    assert {"viewer.js", "flame.js", "flame_tree.js"} <= scripts.keys()
    assert sum(scripts.values()) < MOST_SCRIPT, scripts
    assert scripts["viewer.js"] <= MOST_OF_VIEWER


def test_what_the_flame_view_needs_is_one_script_and_one_style_sheet():
    found = assets()
    parts = found["flame_tree.js"].body + b"\n" + found["flame.js"].body
    assert found["flame-view.js"].body == parts
    assert found["flame-view.css"].body.startswith(found["viewer.css"].body)


def test_no_style_sheet_and_no_script_asks_anybody_else():
    for name, asset in assets().items():
        text = asset.body.decode()
        assert "@import" not in text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", ""), name
        assert "https://" not in text, name

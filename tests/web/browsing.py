"""What tests in a real browser share: its options, the windows, and what may be wrong."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "artefacts" / "viewer"
AXE = "axe-core@4.10.3"

SIZES = {"phone": {"width": 390, "height": 844}, "desk": {"width": 1280, "height": 900}}

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def faults(page):
    """Collect what the console and the browser complain of while the page is used."""
    found = []
    page.on("console", lambda message: found.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("requestfailed", lambda request: found.append(f"failed: {request.url}"))
    page.on("dialog", lambda dialog: (found.append("dialog"), dialog.dismiss()))
    return found


def follow(page, selector):
    """Click on what leads to another page, and wait until that is read to its end."""
    with page.expect_navigation():
        page.click(selector)


def turn_to(page, key):
    """Press a key that leads to another page, and wait until that can take the next one."""
    with page.expect_navigation():
        page.keyboard.press(key)


def serious_violations(page, axe):
    """What shuts people out of a page, by the rules that axe-core calls serious."""
    page.evaluate(axe)
    result = page.evaluate("axe.run({resultTypes: ['violations']})")
    assert result["passes"]
    return [
        (violation["id"], [node["html"][:200] for node in violation["nodes"][:3]])
        for violation in result["violations"]
        if violation["impact"] in ("serious", "critical")
    ]

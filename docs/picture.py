"""Takes the pictures of the viewer in README and docs: ``python docs/picture.py``.

Runs the demo shop, asks for pages and profiles and looks at both with Chromium.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from email.message import Message
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"
PATIENCE_SECONDS = 20.0
VISIT_SECONDS = 20.0
VISITED = [
    *("/", "/products", "/orders/7", "/products", "/orders/19", "/api/data", "/api/users/3"),
    *("/products", "/export.csv", "/heavy-computation", "/health"),
]
WARM_UP = 3  # so that the picture shows the request and not what is imported by the first one


def main() -> None:
    """Write docs/images/viewer.png and overview.png."""
    with tempfile.TemporaryDirectory() as directory:
        shop = subprocess.Popen(
            [sys.executable, "-m", "flaskprof", "demo"],
            env={**os.environ, "FLASKPROF_DIR": directory},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert shop.stdout is not None
            address = re.search(r"http://[\d.:]+", shop.stdout.readline())
            assert address is not None
            take(f"{address[0]}/heavy-computation", Path(directory))
            take_overview(address[0])
        finally:
            shop.terminate()
            shop.communicate()


def take(url: str, directory: Path) -> None:
    """Ask for a profile of `url`, and photograph its page when it is written."""
    for _ in range(WARM_UP):
        ask(url)
    headers = ask(url, **{"X-Profile": "1"})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not list(directory.rglob(f"{headers['X-Profile-Id']}.json")):
        assert time.monotonic() < deadline, "the capture was not written"
        time.sleep(0.05)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 820})
        page.goto(headers["X-Profile-Url"])
        page.wait_for_selector("canvas.flame[data-drawn]")
        IMAGES.mkdir(exist_ok=True)
        page.screenshot(path=IMAGES / "viewer.png")
        browser.close()


def take_overview(shop: str) -> None:
    """Visit the shop as people do for a while, and photograph the front page of the viewer."""
    end = time.monotonic() + VISIT_SECONDS
    number = 0
    while time.monotonic() < end:
        path = VISITED[number % len(VISITED)]
        ask(f"{shop}{path}", **({"X-Profile": "1"} if number % 9 == 0 else {}))
        number += 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        slow = threading.Thread(target=ask, args=(f"{shop}/slow",))
        slow.start()
        time.sleep(0.4)  # so that it is seen
        page.goto(f"{shop}/flaskprof/")
        page.screenshot(path=IMAGES / "overview.png")
        browser.close()
        slow.join()


def ask(url: str, **headers: str) -> Message:
    """Read the whole answer and return its headers."""
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request) as answer:
        answer.read()
        return answer.headers


if __name__ == "__main__":
    main()

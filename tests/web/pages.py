"""What the tests of pages share: the moment they are looked at, and what is on them."""

from __future__ import annotations

import marshal
from html.parser import HTMLParser

NOW = 1_800_000_000.0


class Document(HTMLParser):
    """What a test wants to know of a page: tables, links, headings, tags and attributes."""

    def __init__(self, html: str):
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: dict[str, str] = {}
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self._cell = self._link = None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._cell = ""
        elif tag == "a":
            self._link = (dict(attrs).get("href"), "")

    def handle_endtag(self, tag):
        if tag in ("dt", "dd", "li", "p", "h1", "h2", "td", "th"):
            self.text += " "
        if tag in ("td", "th") and self._cell is not None:
            self.rows[-1].append(" ".join(self._cell.split()))
            self._cell = None
        elif tag == "a" and self._link is not None:
            self.links[" ".join(self._link[1].split())] = self._link[0]
            self._link = None

    def handle_data(self, data):
        self.text += data
        if self._cell is not None:
            self._cell += data
        if self._link is not None:
            self._link = (self._link[0], self._link[1] + data)

    def values(self, attribute: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == attribute]

    def body(self) -> list[list[str]]:
        """The rows of the tables without their heads."""
        return [
            row for row in self.rows if row and row[0] not in ("Function", "Request", "File")
        ]

    def column(self, name: str) -> list[str]:
        head = next(row for row in self.rows if name in row)
        return [row[head.index(name)] for row in self.body()]


def to_prof(functions: dict) -> bytes:
    """`.prof` bytes of pstats' dictionary."""
    return marshal.dumps(functions)

"""A web page under test: its elements, and whether it is well formed."""

from __future__ import annotations

import re
from html.parser import HTMLParser

EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"
"""What a hostile document writes wherever it can."""


class Page(HTMLParser):
    """Every element with its attributes; fails on one that is closed out of order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def check_inert(text: str) -> None:
    """Fail if a page loads anything, leads anywhere, or runs anything."""
    for tag, attributes in Page(text).elements:
        assert tag not in {"script", "link", "img", "image", "iframe", "object", "embed", "base", "form", "a"}
        assert not {"src", "href", "srcset", "xlink:href"} & set(attributes)
        assert not any(key.startswith("on") for key in attributes)
    assert "http" not in text
    assert "@import" not in text
    assert all(target.startswith("#hatch") for target in re.findall(r"url\(([^)]*)\)", text))


def check_sound(text: str) -> None:
    """Fail if ids are not unique, drawings are not described, or a figure is no number."""
    found = Page(text).elements
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in found:
        if tag == "svg" and attributes.get("role") == "img":
            assert set((attributes["aria-labelledby"] or "").split()) <= set(ids)
    assert not re.search(r"\bnan\b|\binf\b", text)

"""HTML and SVG elements whose text is escaped by construction."""

from __future__ import annotations

from html import escape

VOID = frozenset({"meta", "line", "rect", "circle", "path", "stop"})


class Markup(str):
    """Finished markup: the only text that `tag` does not escape."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: object) -> Markup:
    """Return an element; `class_` stands for `class`, `text_anchor` for `text-anchor`; None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_word(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID and not children:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: str) -> Markup:
    """Return the children one after another, text among them escaped."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in children))


def _word(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)

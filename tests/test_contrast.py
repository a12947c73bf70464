"""The colours of the pages: each pair that is used together can be told apart, as WCAG 2.2 AA demands."""

from __future__ import annotations

import re

import pytest

from tests.browser import SCHEMES, Scheme, contrast
from tests.conftest import PROJECT

TOKENS = PROJECT / "monitor" / "web" / "static" / "tokens.css"
STATES = ("ok", "warn", "bad", "held", "idle")
TEXT = [
    *((colour, ground) for colour in ("text", "text-2", "link", "accent") for ground in ("bg", "surface", "sunken")),
    *((state, ground) for state in STATES for ground in (f"{state}-bg", "surface", "bg")),
    *(("text", f"{state}-bg") for state in STATES),
    *((colour, f"{state}-bg") for colour in ("link", "text-2") for state in ("ok", "warn", "bad")),
    ("mark-text", "mark"), ("on-accent", "accent"), ("on-accent", "bad"),
    *((f"q-{kind}", ground) for kind in ("op", "near", "str", "ent", "not") for ground in ("sunken", "surface")),
]  # fmt: skip
SHAPES = [
    ("bar", "surface"), ("bar-now", "surface"), ("line-strong", "surface"), ("line-strong", "bg"), ("focus", "surface"),
    ("focus", "bg"), ("focus", "bad-bg"), ("focus", "warn-bg"), ("focus", "ok-bg"),
]  # fmt: skip


def colours(scheme: Scheme) -> dict[str, tuple[int, ...]]:
    """The colours of a scheme by name, as red, green and blue."""
    light, _, dark = TOKENS.read_text(encoding="utf-8").partition("@media (prefers-color-scheme: dark)")
    found: dict[str, tuple[int, ...]] = {}
    for text in (light, dark)[: 1 if scheme == "light" else 2]:
        found |= {
            name: tuple(bytes.fromhex(value)) for name, value in re.findall(r"--([\w-]+):\s*#([0-9a-f]{6})", text)
        }
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_words_and_shapes_can_be_told_from_what_they_stand_on(scheme: Scheme) -> None:
    of = colours(scheme)
    found = {
        (colour, ground): round(contrast(of[colour], of[ground]), 2)
        for pairs, least in ((TEXT, 4.5), (SHAPES, 3.0))
        for colour, ground in pairs
        if contrast(of[colour], of[ground]) < least
    }
    assert found == {}

"""The whole family of mails in a real browser, at three widths, in both schemes, with and without the style block:
nothing wider than the screen, marks that can be seen, no violation of WCAG 2.2 that axe finds, nothing of a publisher's
alive.

`MONITOR_TEST_PICTURES=DIR` keeps a picture of each mail at each width and in each scheme.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route

from monitor.dispatch import Confirmation, Notice, StoryView
from tests import family
from tests.browser import WORD, contrast, launched
from tests.conftest import PROJECT
from tests.family import AT, LINKS, RENDERER, SITE

SNIPPET = "Two battalions of interior troops took control of the crossing before dawn, three days after the talks."
WIDTHS = (360, 390, 700)
MARK = {"light": "rgb(255, 231, 154)", "dark": "rgb(93, 76, 18)"}
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
AXE = PROJECT / "tests" / "mailtools" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]  # landmarks of a page do not apply within webmail


def story(title: str, snippet: str = SNIPPET, *words: str, **changes: Any) -> StoryView:
    """A story of several outlets."""
    return family.story(title, snippet, *words, **{"others": ("Harbour Post", "Delta Post", "Kestrel Daily")} | changes)


SCRIPT = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
HOSTILE = {
    "plain": story("Varkan troops take over two Kolva river crossings", SNIPPET, "troops", "battalions"),
    "headline-only": story("Varkan troops take over two Kolva river crossings", "Talks had failed.", "troops", "Kolva"),
    "long-headline": story("Troops move on " * 20, SNIPPET, "Troops"),
    "long-word": story(f"Troops at {WORD}", f"{WORD} troops {WORD * 3}", "Troops", "troops", source=WORD,
                       others=(WORD,)),
    "right-to-left": story("قوات فاركان تسيطر على معبرين", "سيطرت كتيبتان من قوات الداخلية على المعبر", "قوات",
                           language="ar"),
    "script": story(f"Troops {SCRIPT}", f"{SCRIPT} troops <b onclick=alert(1)>here</b>", "Troops", "troops",
                    source=SCRIPT, others=(SCRIPT, "\"><svg onload=\"document.title='run'\">")),
    "chinese": story("瓦尔坎内卫部队接管科尔瓦河两处渡口", "两个营的内卫部队在黎明前控制了渡口。" * 6, "部队",
                     language="zh"),
    "no-words": story("", "", url="javascript:alert(1)", source="", others=()),
}  # fmt: skip


LONG = replace(family.TOPICS["vessels"], title=f"Ships of {WORD}")


def mails() -> dict[str, family.Value | Confirmation]:
    alerts: dict[str, family.Value | Confirmation] = {
        name: replace(family.alert(view), topics=(family.TOPICS["border"], LONG), entities=("Ardent Lark",))
        for name, view in HOSTILE.items()
    }
    section = family.section("border", *HOSTILE.values(), total=1234, more=1226, usual=400)
    hostile = family.digest(section, replace(section, topic=LONG, total=8, usual=None), quiet=("grain",))
    return (
        family.MAILS
        | alerts
        | {"hostile-digest": hostile, "hostile-notice": Notice("Nothing loaded", (SCRIPT, WORD * 3))}
    )


MAILS = mails()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from launched()


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


class Opened:
    """A mail in a page; `asked` are the addresses that the page wanted, `said` what it wrote to the console."""

    def __init__(self, page: Page, html: str) -> None:
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page = page
        page.route("**/*", self._refuse)
        page.on("console", self._console)
        page.on("dialog", self._dismiss)
        page.set_viewport_size({"width": 700, "height": 800})
        page.set_content(html, wait_until="load")

    def close(self) -> None:
        self.page.unroute("**/*")
        self.page.remove_listener("console", self._console)
        self.page.remove_listener("dialog", self._dismiss)

    def _console(self, message: Any) -> None:
        self.said.append(message.text)

    def _refuse(self, route: Route) -> None:
        self.asked.append(route.request.url)
        route.abort()

    def _dismiss(self, dialog: Dialog) -> None:
        self.said.append(dialog.message)
        dialog.dismiss()

    def read(self, expression: str) -> Any:
        """The value of a script's expression."""
        return self.page.evaluate(expression)

    def show(self, width: int, scheme: Scheme) -> None:
        """Show the mail on a screen of that width."""
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": 800})

    def assert_fits(self, width: int) -> None:
        """Nothing reaches beyond the screen, and no words beyond their box."""
        assert self.read("document.documentElement.scrollWidth") <= width
        assert self.read("[...document.querySelectorAll('*')].filter(e => e.scrollWidth > innerWidth).length") == 0


# English is looked at on every screen, and so is what runs the other way; other languages are only longer or shorter.
LOOKS = [
    (name, language) for name in MAILS for language in (family.LANGUAGES if name in family.MAILS else ("en", "ar"))
]


@pytest.mark.parametrize(("name", "language"), LOOKS, ids=[f"{name}-{language}" for name, language in LOOKS])
def test_a_mail_fits_every_screen_shows_its_marks_and_does_nothing(page: Page, name: str, language: str) -> None:
    message = RENDERER.mail(MAILS[name], family.reader(language), SITE, LINKS, AT)
    opened = Opened(page, message.html)
    try:
        for width in WIDTHS if language in ("en", "ar") else WIDTHS[:1]:
            for scheme in SCHEMES:
                opened.show(width, scheme)
                opened.assert_fits(width)
                _assert_marks(opened, name, scheme)
                if folder := os.environ.get("MONITOR_TEST_PICTURES"):
                    picture = Path(folder) / f"{name}-{language}-{width}-{scheme}.png"
                    opened.page.screenshot(path=picture, full_page=True)
        direction = "rtl" if language == "ar" else "ltr"
        assert opened.read("getComputedStyle(document.querySelector('[role=article]')).direction") == direction
        # No script of a publisher ran, and none is there to run; nothing was loaded.
        assert opened.page.title() == message.subject
        assert opened.read("document.querySelectorAll('script, img, svg, iframe, link, form').length") == 0
        handlers = "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).filter(a => /^on/.test(a.name))"
        assert opened.read(f"{handlers}.length") == 0
        assert opened.read("[...document.links].filter(a => !/^(https?:|#|about:blank#)/.test(a.href)).length") == 0
        assert (opened.asked, opened.said) == ([], [])
        # Many mail programs drop the style block: what is left is the light design, as wide as the screen.
        opened.read("document.querySelector('style').remove()")
        for width in WIDTHS[::2]:
            opened.show(width, "dark")
            opened.assert_fits(width)
        _assert_marks(opened, name, "light")
        background = opened.read("getComputedStyle(document.querySelector('.card')).backgroundColor")
        assert background == "rgb(255, 255, 255)"
    finally:
        opened.close()


def _assert_marks(opened: Opened, name: str, scheme: Scheme) -> None:
    marks = opened.read(
        "[...document.querySelectorAll('.mk')].map(e => {"
        " const s = getComputedStyle(e), r = e.getBoundingClientRect();"
        " return [e.textContent, s.backgroundColor, +s.fontWeight, r.width > 0 && r.right <= innerWidth]})"
    )
    unmarked = {"no-words", "hostile-notice", "notice", "empty", "quiet", "sign-up", "sign-up-known"}
    assert bool(marks) == (name not in unmarked)
    assert all(mark[1:] == [MARK[scheme], 700, True] for mark in marks), marks
    assert contrast(*map(_rgb, opened.read(_MARK_COLOURS))) >= 4.5 if marks else True


@pytest.mark.parametrize("name", family.MAILS)
def test_axe_finds_no_violation(page: Page, name: str) -> None:
    if not AXE.is_file():
        message = "axe is not installed (npm ci --prefix tests/mailtools)"
        if os.environ.get("MONITOR_TEST_REQUIRE_ALL"):
            pytest.fail(message)
        pytest.skip(message)
    for language, width in (("en", 390), ("ar", 700)):
        html = RENDERER.mail(MAILS[name], family.reader(language), SITE, LINKS, AT).html
        opened = Opened(page, html)
        try:
            opened.page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
            # The scheme changes colours and nothing else, in any language.
            checks: list[tuple[Scheme, list[str]]] = [("light", RULES), ("dark", ["color-contrast"])]
            for scheme, rules in checks[: 2 if language == "en" else 1]:
                opened.show(width, scheme)
                found = opened.page.evaluate("rules => axe.run(document, {runOnly: rules})", rules)
                broken = [(v["id"], node["html"]) for v in found["violations"] for node in v["nodes"]]
                assert broken == [], (language, scheme)
                assert len(found["passes"]) > (5 if scheme == "light" else 0)
        finally:
            opened.close()


_MARK_COLOURS = (
    "(() => {const s = getComputedStyle(document.querySelector('.mk') || document.body);"
    " return [s.color, s.backgroundColor]})()"
)


def _rgb(colour: str) -> list[int]:
    return [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]


def test_text_of_a_right_to_left_story_runs_right_to_left(page: Page) -> None:
    opened = Opened(page, RENDERER.mail(MAILS["right-to-left"], family.reader("en"), SITE, LINKS, AT).html)
    styles = opened.read(
        "[...document.querySelectorAll('[lang=ar][dir=rtl]')].map(e => [getComputedStyle(e).direction,"
        " getComputedStyle(e).textAlign])"
    )
    opened.close()
    assert styles == [["rtl", "left"], ["rtl", "left"]]

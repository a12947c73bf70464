"""Mails in a real browser: nothing wider than the screen, marks that can be seen, and nothing of a publisher's alive.

`MONITOR_TEST_PICTURES=DIR` keeps a picture of each mail at each width and in each scheme.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, sync_playwright

from monitor.dispatch import Alert, Digest, DigestSection, Notice, StoryView, TopicRef
from monitor.render import Links, Reader, Renderer, Site
from monitor.text import Evidence

AT = datetime(2026, 11, 24, 15, 12, tzinfo=UTC)
SITE = Site("Corvid risk desk", "https://desk.corvid.example", "Corvid risk desk <news@corvid.example>", "0.1")
READER = Reader("ines", "Ines Okafor", ZoneInfo("America/Los_Angeles"), "en")
OFF = {"border": "https://desk.corvid.example/u/border", "vessels": "https://desk.corvid.example/u/vessels"}
LINKS = Links("https://desk.corvid.example/u/tok", OFF, "https://desk.corvid.example/s/tok")
BORDER = TopicRef("border", "Border deployments", "high")
VESSELS = TopicRef("vessels", "Sanctioned vessels and " + "the very many other ships " * 2, "normal")
SNIPPET = "Two battalions of interior troops took control of the crossing before dawn, three days after the talks."
WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
assert len(WORD) == 80

MARK = {"light": "rgb(255, 231, 154)", "dark": "rgb(93, 76, 18)"}
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def story(title: str, snippet: str = SNIPPET, *words: str, **changes: Any) -> StoryView:
    """A story with its evidence: `words` in the headline, and where they stand there, in the snippet."""
    evidence = tuple(
        Evidence(field, text.index(word), text.index(word) + len(word), word)
        for field, text in (("title", title), ("snippet", snippet))
        for word in words
        if word in text
    )
    values: dict[str, Any] = {
        "id": 1, "event_id": 7, "title": title, "snippet": snippet, "evidence": evidence, "at": AT, "language": "en",
        "url": "https://northernwire.example/2026/kolva", "source": "Northern Wire",
        "others": ("Harbour Post", "Delta Post", "Kestrel Daily"),
    }  # fmt: skip
    return StoryView(**values | changes)


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


def digest() -> Digest:
    sections = tuple(
        DigestSection(topic, tuple(HOSTILE.values()), total, more)
        for topic, total, more in ((BORDER, 38, 30), (VESSELS, 1234, 1226))
    )
    return Digest("ines", "mail", AT - timedelta(days=1), AT, "2026-11-24", sections, (TopicRef("s", WORD, "low"),))


def mails() -> dict[str, Alert | Digest | Notice]:
    alerts = {
        name: Alert("ines", "mail", (BORDER, VESSELS), view, ("Ardent Lark",), "Held since 22:10 by your quiet hours")
        for name, view in HOSTILE.items()
    }
    return {**alerts, "digest": digest(), "notice": Notice("The configuration was not loaded", (SCRIPT, WORD * 3))}


RENDERER = Renderer()
MAILS = mails()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        message = "no Chromium is installed (apt-get install chromium)"
        if os.environ.get("MONITOR_TEST_REQUIRE_ALL"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        # Without a sandbox, since the tests may run as root in a container; the pages are our own and without network.
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


class Opened:
    """A mail in a page; `asked` are the addresses that the page wanted, `said` what it wrote to the console."""

    def __init__(self, browser: Browser, html: str, width: int, scheme: Scheme) -> None:
        self.asked: list[str] = []
        self.said: list[str] = []
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.page: Page = context.new_page()
        self.page.route("**/*", self._refuse)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("dialog", self._dismiss)
        self.page.set_content(html, wait_until="load")

    def _refuse(self, route: Route) -> None:
        self.asked.append(route.request.url)
        route.abort()

    def _dismiss(self, dialog: Dialog) -> None:
        self.said.append(dialog.message)
        dialog.dismiss()

    def read(self, expression: str) -> Any:
        """The value of a script's expression."""
        return self.page.evaluate(expression)


@pytest.fixture(params=[f"{width}-{scheme}" for width in (390, 600) for scheme in SCHEMES])
def screen(request: pytest.FixtureRequest) -> tuple[int, Scheme]:
    width, _, scheme = request.param.partition("-")
    return int(width), "dark" if scheme == "dark" else "light"


@pytest.mark.parametrize("name", MAILS)
def test_a_mail_fits_the_screen_shows_its_marks_and_does_nothing(
    browser: Browser, name: str, screen: tuple[int, Scheme]
) -> None:
    width, scheme = screen
    message = RENDERER.mail(MAILS[name], READER, SITE, LINKS, AT)
    opened = Opened(browser, message.html, width, scheme)
    try:
        if folder := os.environ.get("MONITOR_TEST_PICTURES"):
            opened.page.screenshot(path=Path(folder) / f"{name}-{width}-{scheme}.png", full_page=True)
        assert opened.read("document.documentElement.scrollWidth") <= width
        assert opened.read("[...document.querySelectorAll('*')].filter(e => e.scrollWidth > innerWidth).length") == 0
        marks = opened.read(
            "[...document.querySelectorAll('.mk')].map(e => {"
            " const s = getComputedStyle(e), r = e.getBoundingClientRect();"
            " return [e.textContent, s.backgroundColor, +s.fontWeight, r.width > 0 && r.right <= innerWidth]})"
        )
        wanted = {"no-words": 0, "notice": 0, "long-headline": 1, "digest": 10}.get(name, 1)
        assert len(marks) >= wanted if wanted else not marks
        assert all(mark[1:] == [MARK[scheme], 700, True] for mark in marks), marks
        assert _contrast(opened.read(_MARK_COLOURS)) >= 4.5 if marks else True
        # No script of a publisher ran, and none is there to run; nothing was loaded.
        assert opened.page.title() == message.subject
        assert opened.read("document.querySelectorAll('script, img, svg, iframe, link, form').length") == 0
        handlers = "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).filter(a => /^on/.test(a.name))"
        assert opened.read(f"{handlers}.length") == 0
        assert opened.read("[...document.links].filter(a => !/^(https?:|#|about:blank#)/.test(a.href)).length") == 0
        assert (opened.asked, opened.said) == ([], [])
    finally:
        opened.page.context.close()


_MARK_COLOURS = (
    "(() => {const s = getComputedStyle(document.querySelector('.mk') || document.body);"
    " return [s.color, s.backgroundColor]})()"
)


def _contrast(colours: list[str]) -> float:
    """The contrast of two colours (WCAG 2.2)."""
    light, dark = sorted((_luminance(colour) for colour in colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_of_a_right_to_left_story_runs_right_to_left(browser: Browser) -> None:
    opened = Opened(browser, RENDERER.mail(MAILS["right-to-left"], READER, SITE, LINKS, AT).html, 390, "light")
    styles = opened.read("['h1', 'h1 + p'].map(q => getComputedStyle(document.querySelector(q)).direction)")
    opened.page.context.close()
    assert styles == ["rtl", "rtl"]

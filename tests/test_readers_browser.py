"""The pages for readers in a real browser, in every language: what they get, the way out and back, and signing up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from monitor.links import sign
from monitor.models import SignUp
from tests.browser import (
    LONG_NAME,
    RUN,
    SCHEMES,
    WIDTHS,
    WORD,
    Visit,
    faults,
    launched,
    tab_to,
    unreached,
    visiting,
)
from tests.choosing import MONITOR, NOW, Readers, readers
from tests.test_web import serving

LANGUAGES = ("en", "es", "fr", "de", "ar")
PEOPLE = (*LANGUAGES, "much", "none", "tab")
LONG = {f"long-{n}": f"{LONG_NAME} {n} {WORD if n % 2 else '<script>' + RUN + '</script>'}" for n in range(60)}
Do = Callable[[Page], Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from launched()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    with visiting(browser) as one:
        yield one


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page without script, which no page of ours has."""
    with visiting(browser, java_script_enabled=False, locale="en") as one:
        yield one.page


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Readers, str]]:
    """A program with a subscriber for each language, one with too much of everything and one with nothing; and where
    its pages are.
    """
    gets = {"much": "{topics: all, alert: {via: [mail]}}", "none": ""}
    people = "".join(
        f"""
  {name}:
    name: {name.title() if name != "much" else "'" + WORD + " <b>" + LONG_NAME + "'"}
    timezone: Europe/London
    language: {name if name in LANGUAGES else {"much": "ar"}.get(name, "en")}
    channels: {{mail: "mailto://127.0.0.1:2525?to={name}@corvid.example"}}
    quiet_hours: {{from: "22:00", to: "07:00", except: critical}}
    digest: {{at: ["07:00", "17:00"]}}
    subscriptions: [{gets.get(name, "{topics: [border, vessels, grain], alert: {via: [mail]}}")}]
"""
        for name in PEOPLE
    )
    topics = "topics:\n  border: {title: Border deployments, public: true, query: border AND troops}\n"
    topics += "  vessels: {title: Sanctioned vessels, public: true, query: sanction* AND vessel}\n"
    topics += "  grain: {title: Grain prices, query: grain}\n"
    topics += "".join(f"  {name}: {{title: {json.dumps(title)}, query: xx{name}}}\n" for name, title in LONG.items())
    folder, monitor = tmp_path_factory.mktemp("reading"), MONITOR.replace("60/h", "999/h")
    with readers(folder, subscribers=f"subscribers:{people}", topics=topics, monitor=monitor) as made:
        for code in (*LANGUAGES, "tab"):
            row = SignUp(
                name=f"reader-{code}", address=f"{code}@kolva.example", topics=["border"], often="daily",
                language=code if code != "tab" else "en", asked_at=NOW,
            )  # fmt: skip
            made.app.store.preferences.ask(row, NOW, lambda _row, _now: True)
        with serving(made.web()) as client:
            yield made, f"http://127.0.0.1:{client.port}"


def steps(made: Readers, base: str, code: str) -> dict[str, Do]:
    """What one who reads a language may do, one thing after the other, and how each page is called."""

    def go(path: str) -> Do:
        return lambda page: page.goto(base + path)

    def press(button: str) -> Do:
        return lambda page: page.locator(f"main {button}").first.click()

    def stop(page: Page) -> None:
        page.goto(base + topic)
        page.locator(".danger").click()

    def times(page: Page) -> None:
        page.locator("#until").fill("22:00")
        page.locator("button[name=times]").click()

    def daily(page: Page) -> None:
        page.goto(base + made.path(code))
        page.locator("input[name='t:grain'][value=daily]").check()
        page.locator("button[name=times]").click()

    def address(given: str) -> Do:
        def ask(page: Page) -> None:
            page.goto(f"{base}/subscribe?lang={code}")
            if "kolva" in given:
                page.locator("input[value=border]").check()
            page.locator("#address").fill(given)
            page.locator("button.primary").click()

        return ask

    link, topic = made.path(code, "u"), f"/u/{sign(made.app.secret, code, 'border')}"
    return {
        "preferences": go(made.path(code)),
        "preferences-mistake": times,
        "preferences-saved": daily,
        "unsubscribe-topic": go(topic),
        "less": press("button[value=week]"),
        "unsubscribe-topic-again": go(topic),
        "restored-topic": press("form button"),
        "unsubscribed-topic": stop,
        "unsubscribe": go(link),
        "unsubscribed": press(".danger"),
        "preferences-left": go(made.path(code)),
        "unsubscribe-again": go(link),
        "restored": press("form button"),
        "gone": go("/s/abc"),
        "sign-up": go(f"/subscribe?topic=border&lang={code}"),
        "sign-up-mistakes": address("nobody@nowhere"),
        "asked": address(f"new-{code}@kolva.example"),
        "confirm": go(made.path(f"reader-{code}", "subscribe")),
        "confirmed": press("button.primary"),
        **({"much": go(made.path("much")), "more": go(f"{made.path('much')}?skip=30")} if code == "ar" else {}),
        **({"preferences-none": go(made.path("none"))} if code == "en" else {}),
    }


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_page_for_readers_has_a_fault_in_any_language(
    browser: Browser, reading: tuple[Readers, str], code: str
) -> None:
    made, base = reading
    found: dict[str, list[str]] = {}
    # Colours are the same in every language; direction and the longest words are not.
    widths = WIDTHS if code in ("en", "ar") else WIDTHS[1:]
    schemes = SCHEMES if code == "en" else SCHEMES[:1]
    # Browsers say which language is wanted; a page of which nothing is known goes by that.
    with visiting(browser, locale=code) as visit:
        for name, do in steps(made, base, code).items():
            do(visit.page)
            html = visit.page.locator("html")
            assert html.get_attribute("dir") == ("rtl" if code == "ar" else "ltr"), name
            assert html.get_attribute("lang") == code, name
            if wrong := faults(visit, f"{name}-{code}", widths, schemes):
                found[name] = wrong
        assert [url for url in visit.asked if not url.startswith(base)] == []
    assert found == {}


def test_titles_by_whomever_are_shown_to_readers_and_do_nothing(visit: Visit, reading: tuple[Readers, str]) -> None:
    made, base = reading
    visit.page.goto(base + made.path("much"))
    expect(visit.page.locator("fieldset.topic-row")).to_have_count(30)
    assert visit.page.locator("main script, main b b").count() == 0
    assert "run" not in visit.page.title().split()
    assert len(visit.page.content().encode()) < 60_000
    visit.page.locator("a[href*='skip=30']").click()
    expect(visit.page.locator("fieldset.topic-row")).to_have_count(30)
    visit.page.get_by_role("button").first.click()
    expect(visit.page.get_by_role("status")).to_be_visible()
    assert visit.said == []


@pytest.mark.parametrize("page_of", ["s", "u", "subscribe", "sign-up"])
def test_tab_reaches_all_that_can_be_used_and_shows_where_it_is(
    visit: Visit, reading: tuple[Readers, str], page_of: str
) -> None:
    made, base = reading
    paths = {"subscribe": made.path("reader-tab", "subscribe"), "sign-up": "/subscribe?topic=border"}
    visit.page.goto(base + (paths.get(page_of) or made.path("tab", page_of)))
    assert unreached(visit.page) == []


def test_a_subscriber_chooses_and_unsubscribes_by_keyboard_and_without_script(
    page: Page, reading: tuple[Readers, str]
) -> None:
    made, base = reading
    heading = page.get_by_role("heading", level=1)
    page.goto(base + made.path("tab"))
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("input[name='t:border'][value=alert]")).to_be_focused()
    page.keyboard.press("ArrowRight")
    tab_to(page, "button[name=times]")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Border deployments: Once a day.")
    expect(page.locator("input[name='t:border'][value=daily]")).to_be_checked()
    for field in ("#from", "#until"):
        tab_to(page, field)
        page.keyboard.type("0505a")  # of the clock's halves one, where there are two
    tab_to(page, "button[name=times]")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Quiet hours end when they begin")
    tab_to(page, "[role=alert] a")
    page.keyboard.press("Enter")
    assert page.url.endswith("#from")
    tab_to(page, "a:has-text('Unsubscribe')")
    page.keyboard.press("Enter")
    expect(heading).to_have_text("Stop all alerts and digests?")
    tab_to(page, "button:has-text('Unsubscribe from everything')")
    page.keyboard.press("Enter")
    expect(heading).to_have_text("You are unsubscribed")
    tab_to(page, "button:has-text('Undo')")
    page.keyboard.press("Enter")
    expect(heading).to_have_text("You are subscribed again")


def test_one_signs_up_by_keyboard_and_without_script(page: Page, reading: tuple[Readers, str]) -> None:
    made, base = reading
    heading = page.get_by_role("heading", level=1)
    page.goto(f"{base}/subscribe?lang=en")
    tab_to(page, "input[value=border]")
    page.keyboard.press("Space")
    tab_to(page, "#address")
    page.keyboard.type("somebody@kolva.example")
    page.keyboard.press("Enter")
    expect(heading).to_have_text("Look into your mail")
    page.goto(base + made.path("reader-tab", "subscribe"))
    tab_to(page, "button:has-text('Subscribe')")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("You are subscribed.")
    tab_to(page, "a:has-text('Set times')")
    page.keyboard.press("Enter")
    expect(heading).to_have_text("Your alerts")

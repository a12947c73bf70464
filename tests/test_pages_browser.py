"""In a real browser: the pages that one comes to seldom, each held to the same rules as those of every day."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from monitor.web import create_app
from monitor.web.backend import WebBackend
from monitor.web.machines import Machines
from monitor.web.serve import parts
from tests.browser import OVER, RULES, SCHEMES, WIDTHS, Visit, launched, picture, violations
from tests.desk import World
from tests.pipe import item
from tests.test_web import SECRET, SITE, TOKEN, Client, serving

ONE = """
subscribers:
  al: {channels: {mail: "mailto://127.0.0.1:2525?to=a@x.example"}, subscriptions: [{topics: all, alert: {}}]}
"""
QUIET = {"quiet-desk": ("/", "No events yet today"), "no-match": ("/topics/quiet", "No stories in 30 days")}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from launched()


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    made = World(
        tmp_path_factory.mktemp("quiet"), topics="topics: {quiet: {query: nothing}}\n", entities="", subscribers=ONE
    )
    with serving(made.web()) as ask:
        yield ask
    made.pipe.close()


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    topics = "topics: {open: {query: border, public: true}, bare: {query: nothing, public: true}}"
    made = World(tmp_path_factory.mktemp("gated"), topics=topics, subscribers="", entities="")
    made.pipe.put("delta-post", *(item(f"b{n}", f"Border {'x' * 80} {n} <b>") for n in range(3)))
    app = create_app(
        WebBackend(made.app), site=SITE, token=TOKEN, host_names=[], secret=SECRET, parts=parts(made.app),
        opened=Machines(made.app).opened,
    )  # fmt: skip
    with serving(app) as ask:
        yield ask
    made.pipe.close()


def faults(visit: Visit, name: str, scheme: str) -> list[str]:
    """What is wrong with the page that is open: by axe, by its width, by what it said."""
    page = visit.page
    picture(page, f"{name}-{scheme}")
    found = violations(page, RULES, "tag")
    if scheme == "light":
        size = page.viewport_size
        assert size is not None
        for width in (320, 390, 768, 1024, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            if page.evaluate(OVER) > 0:
                found.append(f"wider than {width}")
        page.set_viewport_size(size)
    said = [line for line in visit.said if "404" not in line and "401" not in line]
    visit.said.clear()
    return [*found, *said]


def looks(browser: Browser) -> Iterator[tuple[str, Visit]]:
    """Yield a page for each width and scheme."""
    for width in WIDTHS:
        for scheme in SCHEMES:
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            yield scheme, Visit(context)
            context.close()


SITES = [("quiet", QUIET)]


@pytest.mark.parametrize(("which", "pages"), SITES, ids=[which for which, _ in SITES])
def test_axe_finds_nothing_on_pages_with_nothing_on_them_and_on_those_before_the_desk(
    browser: Browser, request: pytest.FixtureRequest, which: str, pages: dict[str, tuple[str, str]]
) -> None:
    port = request.getfixturevalue(which).port
    found: dict[str, list[str]] = {}
    for scheme, visit in looks(browser):
        for name, (path, said) in pages.items():
            visit.page.goto(f"http://127.0.0.1:{port}{path}")
            expect(visit.page.locator("body")).to_contain_text(said)
            if wrong := faults(visit, name, scheme):
                found[f"{name} {scheme} {visit.page.viewport_size}"] = wrong
    assert found == {}


def test_the_way_in_fills_its_panel_and_says_nothing(browser: Browser, gated: Client) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visit = Visit(context)
    page = visit.page
    page.goto(f"http://127.0.0.1:{gated.port}/login")
    page.wait_for_load_state("networkidle")
    assert visit.said == []  # Chromium notes a password's field beside which nothing says whose it is
    field, form = page.locator("#token").bounding_box(), page.locator("form").bounding_box()
    assert field is not None
    assert form is not None
    assert form["width"] - field["width"] < 60
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator("#token")).to_be_focused()
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Desk")
    context.close()


def test_the_question_fills_its_panel(browser: Browser, quiet: Client) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{quiet.port}/")
    form = page.locator("form[action$=stories]").bounding_box()
    assert form is not None
    for name in ("input[name=story]", "[name=who]"):
        field = page.locator(f"form[action$=stories] {name}").bounding_box()
        assert field is not None
        assert form["width"] - field["width"] < 60, name
    context.close()

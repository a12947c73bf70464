"""In a real browser: the pages that one comes to seldom, each held to the same rules as those of every day."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from monitor.errors import StoreError
from monitor.links import Purpose, sign
from tests.browser import RUN, Visit, faults, launched, tab_to, unreached, visiting
from tests.desk import MONITOR, World
from tests.pipe import item
from tests.test_web import SECRET, TITLES, TOKEN, Client, Desk, app_of, serving

ONE = """
subscribers:
  al:
    channels: {mail: "mailto://127.0.0.1:2525?to=a@x.example"}
    digest: {at: ["17:00"], via: [mail]}
    subscriptions: [{topics: all, alert: {}, digest: true}]
"""
SIGN_UP = 'sign_up: {via: "mailto://127.0.0.1:2525?to=desk@corvid.example", at_most: 1/h}\n'
FIRST = {
    "first-run": ("/", "3 steps are left"),
    "no-topics": ("/topics", "No topics yet"),
    "no-feeds": ("/feeds", "No feed is declared"),
    "no-events": ("/events", "No events here"),
    "no-deliveries": ("/deliveries", "Nothing was sent yet"),
    "no-such-state": ("/deliveries?state=failed", "No message stands so"),
    "no-subscribers": ("/subscribers", "No subscribers yet"),
    "nobody-set": ("/subscribers?who=set", "Nobody has set anything"),
    "nobody-signed": ("/subscribers?who=signed", "Nobody has signed up"),
    "no-story": ("/stories?story=nothing-like-it", "No story with those words"),
    "nothing-asked": ("/stories", "Nothing was asked for"),
    "nothing-tried": ("/lab", "Nothing was tried yet"),
    "no-hits": ("/lab?q=zebra", "No hits in 0 stories"),
    "no-such-page": ("/nope", "There is no such page"),
    "no-such-subscriber": ("/subscribers/nobody", "There is no such page"),
    "no-public-topic": ("/subscribe", "There is no topic that anybody may subscribe to"),
}
QUIET = {
    "quiet-desk": ("/", "No events yet today"),
    "no-match": ("/topics/quiet", "No stories in 30 days"),
    "no-match-hours": ("/topics/quiet?days=1", "No stories in 1 day"),
    "no-feed-fits": ("/feeds?q=zebra", "No feed fits"),
    "empty-digest": ("/subscribers/al/digest", "0 stories since"),
    "empty-digest-text": ("/subscribers/al/digest?form=text", "0 stories since"),
    "nothing-set": ("/subscribers/al", "Nothing is set differently"),
    "not-allowed": ("/deliveries/retry", "This address does not do that"),
}
GATED = {
    "login": ("/login", "Token"),
    "not-without-token": ("/feeds", "This page is for the people who run the desk"),
    "public-topic": ("/topics/open", "Newest first"),
    "public-empty": ("/topics/bare", "No story so far"),
    "sign-up": ("/subscribe", "Topics"),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from launched()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    with visiting(browser) as one:
        yield one


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    nothing = {"topics": "topics: {}\n", "subscribers": "subscribers: {}\n", "entities": "", "feeds": "feeds: {}\n"}
    made = World(tmp_path_factory.mktemp("empty"), monitor=MONITOR + SIGN_UP, **nothing)
    with serving(made.web()) as ask:
        yield ask
    made.pipe.close()


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
    made = World(
        tmp_path_factory.mktemp("gated"), monitor=MONITOR + SIGN_UP, topics=topics, subscribers="", entities=""
    )
    made.pipe.put("delta-post", *(item(f"b{n}", f"Border {'x' * 80} {n} <b>") for n in range(3)))
    with serving(made.web(TOKEN)) as ask:
        yield ask
    made.pipe.close()


SITES = [("empty", FIRST), ("quiet", QUIET), ("gated", GATED)]


@pytest.mark.parametrize(("which", "pages"), SITES, ids=[which for which, _ in SITES])
def test_pages_with_nothing_on_them_and_those_before_the_desk_have_no_fault(
    visit: Visit, request: pytest.FixtureRequest, which: str, pages: dict[str, tuple[str, str]]
) -> None:
    port = request.getfixturevalue(which).port
    found: dict[str, list[str]] = {}
    for name, (path, said) in pages.items():
        visit.page.goto(f"http://127.0.0.1:{port}{path}")
        expect(visit.page.locator("body")).to_contain_text(said)
        if wrong := faults(visit, name):
            found[name] = wrong
    assert found == {}


def test_pages_of_what_went_wrong_have_no_fault(visit: Visit, gated: Client, quiet: Client) -> None:
    page, found = visit.page, {}

    def look(name: str, said: str) -> None:
        expect(page.locator("body")).to_contain_text(said)
        if wrong := faults(visit, name):
            found[name] = wrong

    page.goto(f"http://127.0.0.1:{gated.port}/login")
    page.locator("#token").fill("guess")
    page.keyboard.press("Enter")
    look("wrong-token", "That is not the token")
    for said in ("Look into your mail", "Too many at once"):
        page.goto(f"http://127.0.0.1:{gated.port}/subscribe?topic=open&lang=en")
        page.locator("#address").fill("a@kolva.example")
        page.keyboard.press("Enter")
        look(said.replace(" ", "-").lower(), said)
    page.goto(f"http://127.0.0.1:{quiet.port}/deliveries")
    page.locator("[name=form_token]").first.evaluate("field => { field.value = 'guess'; field.form.submit() }")
    look("not-our-form", "This form is not one of ours")
    with serving(app_of(desk := Desk())) as ask:
        root = f"http://127.0.0.1:{ask.port}/"
        for name, broken, said in (
            ("not-made", RuntimeError("a mistake of ours"), "This page could not be made"),
            ("no-database", StoreError("no answer"), "The database did not answer"),
        ):
            desk.broken = broken
            page.goto(root)
            look(name, said)
        desk.broken = None
        page.goto(f"{root}a/{sign(SECRET, 'ruth', '1f', Purpose.ACKNOWLEDGE)}")
        look("acknowledge", TITLES["sanctions"])
        tab_to(page, "button:has-text('Acknowledge')")
        page.keyboard.press("Enter")
        look("acknowledged", "Acknowledged by Ruth")
        page.set_extra_http_headers({"X-Forwarded-For": "203.0.113.7"})
        page.goto(root)
        look("not-from-elsewhere", "This page is shown on its own machine only")
    assert RUN not in page.title()
    assert found == {}


def test_the_way_in_fills_its_panel_and_says_nothing(visit: Visit, gated: Client) -> None:
    page = visit.page
    page.goto(f"http://127.0.0.1:{gated.port}/login")
    page.wait_for_load_state("networkidle")
    assert visit.said == []  # Chromium notes a password's field beside which nothing says whose it is
    field, form = page.locator("#token").bounding_box(), page.locator("form").bounding_box()
    assert field is not None
    assert form is not None
    assert form["width"] - field["width"] < 60
    assert unreached(page) == []
    page.reload()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator("#token")).to_be_focused()
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("1 step is left before the first alert can go out.")
    assert faults(visit, "first-run-last-step") == []


def test_the_question_fills_its_panel(visit: Visit, quiet: Client) -> None:
    page = visit.page
    page.goto(f"http://127.0.0.1:{quiet.port}/")
    form = page.locator("form[action$=stories]").bounding_box()
    assert form is not None
    for name in ("input[name=story]", "[name=who]"):
        field = page.locator(f"form[action$=stories] {name}").bounding_box()
        assert field is not None
        assert form["width"] - field["width"] < 60, name

"""The desk in a real browser: for everybody, at every width, in forced colours, by keyboard alone and without script.

`MONITOR_TEST_PICTURES=DIR` keeps a picture of each page at both widths and in both schemes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from monitor.checking import load
from monitor.daemon import write_state
from monitor.errors import ConfigError
from monitor.service.record import STATE
from tests.browser import LONG_NAME, Visit, faults, launched, picture, tab_to, unreached, visiting
from tests.desk import NOW, QUIET, TOPICS, World, world
from tests.test_web import Client, serving

LAB = "/lab?topic=border-deployments&q=battalion*+NEAR/20+(border+OR+crossing*)"
PAGES = {
    "desk": "/",
    "topics": "/topics",
    "topic": "/topics/border-deployments",
    "topic-hours": "/topics/border-deployments?days=1&order=newest",
    "topic-long-name": "/topics/long?days=7",
    "story": "/stories/{story}?who=ines",
    "story-matched-by-none": "/stories/{quiet}",
    "story-for-nobody": "/stories/{story}?who=nobody",
    "search": "/stories?story=varkan",
    "lab": LAB,
    "lab-new": "/lab?q=grain",
    "lab-no-hits": "/lab?q=zebra",
    "lab-no-change": "/lab?topic=grain&q=grain+NEAR/10+price*",
    "lab-mistake": "/lab?topic=grain&q=grain+NEAR+price",
    "lab-mistakes": "/lab?q=a+NEAR+b+AND+%40kolwa+OR+(c",
    "feeds": "/feeds",
    "no-feed": "/feeds?q=nothing-like-it",
    "deliveries": "/deliveries",
    "deliveries-none": "/deliveries?state=cancelled",
    "events": "/events",
    "digest": "/subscribers/ruth/digest",
    "digest-phone": "/subscribers/ruth/digest?form=html&width=phone",
    "digest-text": "/subscribers/ruth/digest?form=text",
    "digest-slack": "/subscribers/ruth/digest?form=slack",
    "digest-not-set-up": "/subscribers/kai/digest",
    "alert": "/subscribers/ines/digest?message=alert&width=phone",
    "alert-text": "/subscribers/ines/digest?message=alert&form=text",
    "no-update": "/subscribers/ines/digest?message=update",
    "missing": "/topics/nope",
    "subscribers": "/subscribers",
    "subscribers-set": "/subscribers?who=set",
    "subscribers-signed": "/subscribers?who=signed",
    "subscriber": "/subscribers/kai",
    "subscriber-as-declared": "/subscribers/ruth",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    more = f"{TOPICS}  long: {{title: {LONG_NAME}, query: nothing-like-it}}\n"
    with world(tmp_path_factory.mktemp("desk"), topics=more) as one:
        yield one


@pytest.fixture(scope="module")
def ask(made: World) -> Iterator[Client]:
    with serving(made.web()) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from launched()


@pytest.fixture(scope="module")
def addresses(made: World, ask: Client) -> dict[str, str]:
    find = made.app.store.archive.find
    story = min(one.id or 0 for one in find("Varkan interior troops take over", 50))
    quiet = find(QUIET, 1)[0].id
    return {name: f"http://127.0.0.1:{ask.port}{path.format(story=story, quiet=quiet)}" for name, path in PAGES.items()}


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    with visiting(browser) as one:
        yield one


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page without script, which no page of ours has."""
    with visiting(browser, java_script_enabled=False) as one:
        yield one.page


def test_no_page_of_the_desk_has_a_fault_at_any_width_in_any_scheme(visit: Visit, addresses: dict[str, str]) -> None:
    found: dict[str, list[str]] = {}
    for name, address in addresses.items():
        visit.page.goto(address)
        if wrong := faults(visit, name):
            found[name] = wrong
    assert found == {}
    base = addresses["desk"]
    assert [url for url in visit.asked if not url.startswith(base)] == []


def test_fields_fill_their_panels_and_stand_beside_their_buttons(visit: Visit, addresses: dict[str, str]) -> None:
    box = "element => { const r = element.getBoundingClientRect(); return [r.left, r.right] }"
    visit.page.goto(addresses["story"])
    field, button = (visit.page.locator(f".fill {one}").first.evaluate(box) for one in ("select", ".btn"))
    assert 0 <= button[0] - field[1] <= 24
    visit.page.goto(addresses["search"])
    panel = visit.page.locator("form.fill").evaluate(box)
    for one in ("#u", "#s"):
        left, right = visit.page.locator(one).evaluate(box)
        assert left - panel[0] <= 24
        assert panel[1] - right <= 24


@pytest.mark.parametrize(
    "name", ["desk", "topic", "story", "search", "lab", "lab-mistakes", "feeds", "deliveries", "events", "subscriber"]
)
def test_tab_reaches_all_that_can_be_used_and_shows_where_it_is(
    visit: Visit, addresses: dict[str, str], name: str
) -> None:
    visit.page.goto(addresses[name])
    assert unreached(visit.page) == []


def test_the_skip_link_is_the_first_stop_and_leads_past_the_frame(page: Page, addresses: dict[str, str]) -> None:
    page.goto(addresses["feeds"])
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#f")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.locator(".nav a").last).to_be_focused()


def test_feeds_are_filtered_by_keyboard_and_without_script(page: Page, addresses: dict[str, str]) -> None:
    page.goto(addresses["feeds"])
    tab_to(page, "#f")
    page.keyboard.type("gazette")
    page.keyboard.press("Enter")
    page.wait_for_url("**/feeds?q=gazette*")
    expect(page.locator("tbody th")).to_have_count(1)
    tab_to(page, "#f")
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    tab_to(page, "#st")
    page.keyboard.type("Bro")
    tab_to(page, "main .btn")
    page.keyboard.press("Enter")
    page.wait_for_url("**/feeds?q=&state=broken*")
    expect(page.locator("tbody th")).to_have_count(1)
    expect(page.locator("tbody th")).to_contain_text("Baltrop Observer")


def test_a_query_is_tried_and_its_mistake_mended_by_keyboard_and_without_script(
    page: Page, addresses: dict[str, str]
) -> None:
    page.goto(addresses["lab"])
    tab_to(page, "#q")
    page.keyboard.press("Control+A")
    page.keyboard.type("grain NEAR price*")
    tab_to(page, "#c")
    page.keyboard.type("Grain")
    tab_to(page, "button:has-text('Try it')")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The query has a mistake")
    expect(page.locator("#q")).to_have_text("grain NEAR price*")
    tab_to(page, "a:has-text('Use NEAR/12')")
    page.keyboard.press("Enter")
    expect(page.locator("#r")).to_have_text("What would change")
    expect(page.locator("main")).to_contain_text("0 stories gained, 0 lost, 1 the same.")


def test_the_digest_is_seen_in_its_frame(visit: Visit, addresses: dict[str, str]) -> None:
    visit.page.goto(addresses["digest"])
    frame = visit.page.frame_locator("iframe")
    expect(frame.get_by_text("Why you got this.")).to_be_visible()
    assert visit.page.frames[1].evaluate("location.origin") == "null" or visit.said == []
    visit.page.get_by_label("Message").select_option("Next digest, if nothing matched")
    visit.page.get_by_role("button", name="Show").click()
    expect(visit.page.get_by_text("if nothing matched until then")).to_be_visible()
    expect(visit.page.frame_locator("iframe").get_by_text("Why you got this.")).to_be_visible()


def test_in_forced_colours_states_keep_a_shape_and_a_border(browser: Browser, addresses: dict[str, str]) -> None:
    style = "element => { const s = getComputedStyle(element); return [s.borderTopStyle, s.outlineStyle] }"
    shape = """element => {
      const s = getComputedStyle(element, '::before'), ground = getComputedStyle(element).backgroundColor;
      const seen = ![ground, 'rgba(0, 0, 0, 0)'].includes(s.backgroundColor) || s.borderTopStyle === 'solid';
      return [seen, s.borderRadius, s.clipPath, s.transform].join(' ')
    }"""
    with visiting(browser, forced_colors="active") as visit:
        page, shapes = visit.page, {}
        for name in ("desk", "deliveries", "feeds", "story"):
            page.goto(addresses[name])
            picture(page, f"{name}-forced")
            for badge in page.locator("main .badge:visible").all():
                assert badge.evaluate(style)[0] == "solid"
                shapes[(badge.get_attribute("class") or "").split()[-1]] = badge.evaluate(shape)
            assert page.locator(".nav [aria-current]").first.evaluate(style)[1] == "solid"
        assert set(shapes) == {"ok", "warn", "bad", "held", "idle"}
        assert all(one.startswith("true ") for one in shapes.values()), shapes
        assert len({shapes[one] for one in ("ok", "warn", "bad", "held")}) == 4
        page.goto(addresses["deliveries"])
        assert page.locator(".tabs [aria-current]").first.evaluate(style)[1] == "solid"
        page.keyboard.press("Tab")
        assert page.locator(".skip").evaluate(style)[1] != "none"


def test_a_mistake_in_the_files_is_seen_with_the_next_look(
    visit: Visit, made: World, addresses: dict[str, str], tmp_path: Path
) -> None:
    page = visit.page
    page.goto(addresses["desk"])
    expect(page.get_by_text("Rules valid")).to_be_visible()
    files = {"topics.yaml": "topics:\n  a:\n    title: A\n    query: " + "battalion OR " * 9 + "troops NEAR border\n"}
    (tmp_path / "topics.yaml").write_text(files["topics.yaml"])
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, {})
    write_state(made.app.data, NOW, made.app.config, raised.value.problems)
    try:
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("topics.yaml line 4 has a mistake")
        assert faults(visit, "bad-rules") == []
        page.set_viewport_size({"width": 360, "height": 900})
        page.emulate_media(color_scheme="dark")
        picture(page, "bad-rules-360-dark")
        caret = page.locator(".banner .caret")
        expect(caret).to_be_visible()
        right = caret.evaluate("element => element.getBoundingClientRect().right")
        assert right < page.locator(".banner pre").evaluate("element => element.getBoundingClientRect().right")
        page.goto(addresses["feeds"])
        expect(page.get_by_role("link", name="New rules not loaded")).to_be_visible()
        assert faults(visit, "bad-rules-elsewhere") == []
        page.get_by_role("link", name="New rules not loaded").click()
        expect(page.locator("#bad-rules")).to_be_in_viewport()
    finally:
        (made.app.data / STATE).unlink()


def test_a_message_is_sent_again_by_keyboard_and_without_script(page: Page, addresses: dict[str, str]) -> None:
    page.goto(addresses["deliveries"] + "?state=failed")
    tab_to(page, "button:has-text('Send again')")
    page.keyboard.press("Enter")
    page.wait_for_url("**/deliveries?state=failed")
    expect(page.get_by_text("No message stands so")).to_be_visible()

"""The desk in a real browser: for everybody, at every width, by keyboard alone, without script, and with the worst
that a publisher can write.

`MONITOR_TEST_PICTURES=DIR` keeps a picture of each page at both widths and in both schemes.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from monitor.checking import load
from monitor.daemon import write_state
from monitor.errors import ConfigError
from monitor.models import SignUp
from monitor.service.record import STATE
from monitor.store.preferences import Setting
from tests.browser import OVER, RULES, SCHEMES, WIDTHS, Visit, launched, picture, tab_to, violations
from tests.choosing import NOW as READING
from tests.choosing import Readers, readers
from tests.desk import NOW, TOPICS, World, world
from tests.pipe import item
from tests.test_web import Client, serving

HOSTILE = Path(__file__).resolve().parents[2] / "shared" / "data" / "hostile"

WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
LONG_NAME = "Deployments of every kind of force at any border of any land"
assert (len(WORD), len(LONG_NAME)) == (80, 60)
RUN = "document.title='run'"
VECTORS = [
    f"<script>{RUN}</script>", f'<img src=x onerror="{RUN}">', f"<svg/onload={RUN}>", "{{ 7 * 7 }}",
    f"</textarea><script>{RUN}</script>", f'"><iframe srcdoc="<script>parent.{RUN}</script>">',
    "<style>body{display:none}</style>", "<base href=http://evil.example/>",
]  # fmt: skip
PAGES = {
    "desk": "/",
    "topics": "/topics",
    "topic": "/topics/border-deployments",
    "quiet-topic": "/topics/long?days=7",
    "story": "/stories/{story}?who=ines",
    "search": "/stories?story=varkan",
    "lab": "/lab?topic=border-deployments&q=battalion*+NEAR/20+(border+OR+crossing*)",
    "lab-mistake": "/lab?topic=grain&q=grain+NEAR+price",
    "feeds": "/feeds",
    "deliveries": "/deliveries",
    "events": "/events",
    "digest": "/subscribers/ruth/digest",
    "alert": "/subscribers/ines/digest?message=alert&width=phone",
    "no-update": "/subscribers/ines/digest?message=update",
    "missing": "/topics/nope",
    "subscribers": "/subscribers",
    "subscriber": "/subscribers/kai",
}
LANGUAGES = ("en", "es", "fr", "de", "ar")


def hostile_titles() -> list[str]:
    """Headlines of the worst kinds, those of the collected vectors among them where they are at hand."""
    titles = ["Border " + "troops move on " * 20, f"Border {WORD}", "قوات على border الحدود", "", *VECTORS]
    if HOSTILE.is_dir():
        titles += json.loads((HOSTILE / "xss" / "own_vectors.json").read_text(encoding="utf-8"))
    return [title if "border" in title.lower() or not title else f"Border {title}" for title in titles]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    more = f"{TOPICS}  long: {{title: {LONG_NAME}, query: nothing-like-it}}\n  wide: {{title: Wide, query: border}}\n"
    with world(tmp_path_factory.mktemp("desk"), topics=more) as one:
        one.pipe.put("meridian-times", *(item(f"h{n}", t, summary=t) for n, t in enumerate(hostile_titles())))
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
    story = min(one.id or 0 for one in made.app.store.archive.find("Varkan interior troops take over", 50))
    return {name: f"http://127.0.0.1:{ask.port}{path.format(story=story)}" for name, path in PAGES.items()}


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield Visit(context)
    context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_and_the_console_is_silent(browser: Browser, addresses: dict[str, str], width: int) -> None:
    found: dict[str, list[str]] = {}
    for scheme in SCHEMES:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        visit = Visit(context)
        for name, address in addresses.items():
            visit.page.goto(address)
            picture(visit.page, f"{name}-{width}-{scheme}")
            said = [line for line in visit.said if "404" not in line]  # of the page that is not there
            # Only colours differ between the schemes.
            wrong = (
                violations(visit.page, RULES, "tag")
                if scheme == "light"
                else violations(visit.page, ["color-contrast"], "rule")
            )
            if wrong or said:
                found[f"{name} {scheme}"] = [*wrong, *said]
            visit.said.clear()
        context.close()
    assert found == {}


def test_nothing_is_wider_than_the_screen(visit: Visit, addresses: dict[str, str]) -> None:
    wide = []
    for name, address in addresses.items():
        visit.page.goto(address)
        for width in (320, 390, 640, 768, 1024, 1280):  # 640: 1280 at a zoom of 200 %
            visit.page.set_viewport_size({"width": width, "height": 900})
            over = visit.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if over > 0:
                wide.append((name, width, over))
    assert wide == []


def test_what_publishers_write_is_shown_and_does_nothing(visit: Visit, made: World, ask: Client) -> None:
    ids = [one.id for one in made.app.store.archive.find("border", 100) if one.feed == "meridian-times"]
    assert len(ids) >= len(VECTORS)
    base = f"http://127.0.0.1:{ask.port}"
    script = "%3Cscript%3Edocument.title='run'%3C/script%3E"
    paths = [f"/stories/{number}" for number in ids[:24]]
    paths += ["/", "/topics/wide?order=newest", "/topics/wide?order=newest&skip=8", "/deliveries", "/feeds?q=" + script]
    paths += [
        "/stories?story=border",
        "/lab?q=border&days=7",
        "/lab?q=</textarea>" + script,
        "/subscribers/ruth/digest",
        "/subscribers/ines/digest?message=alert&form=text",
    ]
    visit.page.set_viewport_size({"width": 320, "height": 900})
    for path in paths:
        visit.page.goto(base + path)
        assert "run" not in visit.page.title().split(), path
        assert (
            visit.page.locator(
                "main script, main style, main iframe[srcdoc], main img, main form[action^=java]"
            ).count()
            == 0
        )
        assert visit.page.locator("body").is_visible(), path
        over = visit.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, (path, over)
    assert visit.said == []
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


def test_with_the_keyboard_alone_all_can_be_done(visit: Visit, addresses: dict[str, str]) -> None:
    page = visit.page
    page.goto(addresses["feeds"])
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) != "none"
    page.keyboard.press("Enter")
    tab_to(page, "input#f")
    page.keyboard.type("gazette")
    page.keyboard.press("Enter")
    page.wait_for_url("**/feeds?q=gazette*")
    expect(page.locator("tbody th")).to_have_count(1)

    page.goto(addresses["lab-mistake"])
    tab_to(page, "a:has-text('Use NEAR/12')")
    page.keyboard.press("Enter")
    expect(page.locator("#r")).to_have_text("What would change")
    expect(page.locator("main")).to_contain_text("0 stories gained, 0 lost, 1 the same.")


def test_without_script_a_message_is_sent_again_and_a_query_tried(browser: Browser, addresses: dict[str, str]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(addresses["deliveries"] + "?state=failed")
    tab_to(page, "button:has-text('Send again')")
    page.keyboard.press("Enter")
    page.wait_for_url("**/deliveries?state=failed")
    expect(page.get_by_text("No message stands so")).to_be_visible()
    page.goto(addresses["lab"])
    page.get_by_label("Query").fill("grain NEAR/10 price*")
    page.get_by_label("Compare with").select_option("grain")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("0 stories gained, 0 lost, 1 the same.")).to_be_visible()
    context.close()


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
    context = browser.new_context(forced_colors="active")
    page = context.new_page()
    page.goto(addresses["deliveries"])
    style = "element => { const s = getComputedStyle(element); return [s.borderTopStyle, s.outlineStyle] }"
    assert page.locator(".badge").first.evaluate(style)[0] == "solid"
    assert page.locator(".tabs [aria-current]").first.evaluate(style)[1] == "solid"
    assert page.locator(".nav [aria-current]").first.evaluate(style)[1] == "solid"
    context.close()


def test_a_mistake_in_the_files_is_seen_with_the_next_look(
    browser: Browser, visit: Visit, made: World, addresses: dict[str, str], tmp_path: Path
) -> None:
    visit.page.goto(addresses["desk"])
    expect(visit.page.get_by_text("Rules valid")).to_be_visible()
    files = {"topics.yaml": "topics:\n  a:\n    title: A\n    query: " + "battalion OR " * 9 + "troops NEAR border\n"}
    (tmp_path / "topics.yaml").write_text(files["topics.yaml"])
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, {})
    write_state(made.app.data, NOW, made.app.config, raised.value.problems)
    try:
        visit.page.reload()
        expect(visit.page.get_by_role("alert")).to_contain_text("topics.yaml line 4 has a mistake")
        for width, scheme in itertools.product(WIDTHS, SCHEMES):
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page = context.new_page()
            page.goto(addresses["desk"])
            picture(page, f"bad-rules-{width}-{scheme}")
            assert violations(page, RULES, "tag") == []
            context.close()
        visit.page.set_viewport_size({"width": 360, "height": 900})
        caret = visit.page.locator(".banner .caret")
        expect(caret).to_be_visible()
        right = caret.evaluate("element => element.getBoundingClientRect().right")
        assert right < visit.page.locator(".banner pre").evaluate("element => element.getBoundingClientRect().right")
    finally:
        (made.app.data / STATE).unlink()


# --- the pages for readers -----------------------------------------------------------------------------------------

LONG = {f"long-{n}": f"{LONG_NAME} {n} {WORD if n % 2 else '<script>' + RUN + '</script>'}" for n in range(60)}


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Readers, str]]:
    """A program with a subscriber for each language, and one with too much of everything; and where its pages are."""
    people = "".join(
        f"""
  {name}:
    name: {name.title() if name in LANGUAGES else "'" + WORD + " <b>" + LONG_NAME + "'"}
    timezone: Europe/London
    language: {name if name in LANGUAGES else "ar"}
    channels: {{mail: "mailto://127.0.0.1:2525?to={name}@corvid.example"}}
    quiet_hours: {{from: "22:00", to: "07:00", except: critical}}
    digest: {{at: ["07:00", "17:00"]}}
    subscriptions: [{{topics: {"[border, vessels, grain]" if name in LANGUAGES else "all"}, alert: {{via: [mail]}}}}]
"""
        for name in (*LANGUAGES, "much")
    )
    topics = "topics:\n  border: {title: Border deployments, public: true, query: border AND troops}\n"
    topics += "  vessels: {title: Sanctioned vessels, public: true, query: sanction* AND vessel}\n"
    topics += "  grain: {title: Grain prices, query: grain}\n"
    topics += "".join(f"  {name}: {{title: {json.dumps(title)}, query: xx{name}}}\n" for name, title in LONG.items())
    folder = tmp_path_factory.mktemp("reading")
    with readers(folder, subscribers=f"subscribers:{people}", topics=topics) as made:
        preferences = made.app.store.preferences
        for code in LANGUAGES:
            row = SignUp(
                name=f"reader-{code}", address=f"{code}@kolva.example", topics=["border"], often="daily",
                language=code, asked_at=READING,
            )  # fmt: skip
            preferences.ask(row, READING, lambda _row, _now: True)
        preferences.set("fr", [Setting("topic", "off", "*")], READING, "unsubscribe link 00000000")
        with serving(made.web()) as client:
            yield made, f"http://127.0.0.1:{client.port}"


def pages_for(made: Readers, code: str) -> dict[str, str]:
    """The pages that one who reads a language may come to."""
    return {
        "preferences": made.path(code),
        "unsubscribe": made.path(code, "u"),
        "gone": "/s/abc",
        "sign-up": f"/subscribe?lang={code}",
        "confirm": made.path(f"reader-{code}", "subscribe"),
        **({"much": made.path("much"), "much-more": f"{made.path('much')}?skip=30"} if code == "ar" else {}),
    }


@pytest.mark.parametrize("code", LANGUAGES)
def test_axe_finds_nothing_on_the_pages_for_readers(browser: Browser, reading: tuple[Readers, str], code: str) -> None:
    made, base = reading
    found: dict[str, list[Any]] = {}
    # Colours are the same in every language; direction and the longest words are not.
    whole = code in ("en", "ar")
    for width in WIDTHS if whole else WIDTHS[1:]:
        for scheme in SCHEMES if whole else SCHEMES[:1]:
            # Browsers say which language is wanted; a page of which nothing is known goes by that.
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, locale=code)
            visit = Visit(context)
            for name, path in pages_for(made, code).items():
                visit.page.goto(base + path)
                picture(visit.page, f"{name}-{code}-{width}-{scheme}")
                said = [line for line in visit.said if "404" not in line]
                rules, kind = (RULES, "tag") if scheme == "light" else (["color-contrast"], "rule")
                wrong = violations(visit.page, rules, kind)
                assert visit.page.locator("html").get_attribute("dir") == ("rtl" if code == "ar" else "ltr")
                assert visit.page.locator("html").get_attribute("lang") == code
                if wrong or said:
                    found[f"{name} {width} {scheme}"] = [*wrong, *said]
                if scheme == "light" and (sizes := (768, 1024) if width == 1280 else (320, 390)):
                    for size in sizes:
                        visit.page.set_viewport_size({"width": size, "height": 900})
                        if visit.page.evaluate(OVER) > 0:
                            found.setdefault(f"{name} {size}", []).append("wider than the screen")
                    visit.page.set_viewport_size({"width": width, "height": 900})
                visit.said.clear()
            assert [url for url in visit.asked if not url.startswith(base)] == []
            context.close()
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


def test_a_subscriber_chooses_and_unsubscribes_without_script_by_the_keyboard(
    browser: Browser, reading: tuple[Readers, str]
) -> None:
    made, base = reading
    context = browser.new_context(java_script_enabled=False, locale="en")
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(base + made.path("en"))
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator("input[name='t:border'][value=alert]").focus()
    page.keyboard.press("ArrowRight")
    page.locator("button.primary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Border deployments: Once a day.")
    expect(page.locator("input[name='t:border'][value=daily]")).to_be_checked()
    page.locator("#until").fill("22:00")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Quiet hours end when they begin")
    page.get_by_role("alert").get_by_role("link").focus()
    page.keyboard.press("Enter")
    assert page.url.endswith("#from")
    page.get_by_role("link", name="Unsubscribe").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Unsubscribe from everything").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("You are unsubscribed")
    page.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("You are subscribed again")
    context.close()


def test_one_signs_up_without_script(browser: Browser, reading: tuple[Readers, str]) -> None:
    made, base = reading
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 900})
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(f"{base}/subscribe?topic=border&lang=en")
    expect(page.get_by_label("Border deployments")).to_be_checked()
    page.get_by_label("Your mail address").fill("somebody@kolva.example")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Look into your mail")
    picture(page, "asked-en-390-light")
    page.goto(base + made.path("reader-en", "subscribe"))
    page.get_by_role("button", name="Subscribe").click()
    expect(page.get_by_role("status")).to_contain_text("You are subscribed.")
    page.get_by_role("link", name="Set times").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your alerts")
    context.close()

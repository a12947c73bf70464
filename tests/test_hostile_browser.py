"""In a real browser: the worst that a publisher, a visitor or a careless operator can write does nothing on any page,
and is shown as it was written; and much of everything still fits.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import insert
from sqlmodel import Session

from monitor.links import Purpose, sign
from monitor.models import Event, Match, Sighting, SignUp, Story
from monitor.pipeline.digest import schedule_slots
from monitor.store import fulltext
from tests.browser import ALIVE, LONG_NAME, RUN, WORD, Visit, beyond, faults, launched, visiting
from tests.choosing import MONITOR, NOW, Readers, readers
from tests.pipe import item
from tests.test_render import Page as Parsed
from tests.test_web import Client, serving

COLLECTED = Path(__file__).resolve().parents[2] / "shared" / "data" / "hostile"
VECTORS = [
    f"<script>{RUN}</script>", f'<img src=x onerror="{RUN}">', f"<svg/onload={RUN}>", "{{ 7 * 7 }}",
    f"</textarea><script>{RUN}</script>", f'"><iframe srcdoc="<script>parent.{RUN}</script>">',
    "<style>body{display:none}</style>", "<base href=http://evil.example/>", f"'\" autofocus onfocus={RUN} x='",
    f"</title><script>{RUN}</script>", f"javascript:{RUN}", f"--><script>{RUN}</script>",
    f"<a href=javascript:{RUN}>border</a>", "<meta http-equiv=refresh content='0;url=http://evil.example/'>",
]  # fmt: skip


def collected() -> list[str]:
    """The vectors above, and those of the collection where it is at hand."""
    found = list(VECTORS)
    if COLLECTED.is_dir():
        for name in ("xss/own_vectors", "slack_chat_injection/titles", "ssti_jinja2/titles_that_look_like_templates"):
            found += json.loads((COLLECTED / f"{name}.json").read_text(encoding="utf-8"))
        feed = (COLLECTED / "xss" / "own_vectors_feed.xml").read_text(encoding="utf-8")
        found += map(html.unescape, re.findall("<item>.*?<title>(.*?)</title>", feed))
    return list(dict.fromkeys(one for one in found if one.isprintable()))


ALL = collected()
MARKUP = [one for one in ALL if re.search("[<>\"']|script:", one)][:24]
TOGETHER = 5  # stories of a topic, as many as a digest shows
GROUPS = range(0, len(ALL), TOGETHER)
PEOPLE = 4  # among whom the topics are divided, so that the digest of each shows all its stories

HEADLINE = ("Crowd " + "moves on through the streets of the old town " * 7)[:300]
ARABIC = "حشد crowd كبير يعبر الجسر القديم نحو الحدود"
NEWEST = (HEADLINE, f"Crowd {WORD}", ARABIC, "", f"Crowd <script>{RUN}</script>", WORD + WORD)
OUTLETS, MATCHES = 60, 10_000


def title(number: int) -> str:
    """A topic's title: the markup in turn, told apart by its number."""
    return f"{MARKUP[number % len(MARKUP)]} {number}"


def much(session: Session) -> None:
    """Put in ten thousand stories that a topic matched, the newest of one event of many outlets."""
    rows: dict[Any, list[dict[str, Any]]] = {table: [] for table in (Event, Story, Sighting, Match)}
    for number in range(MATCHES):
        at = NOW - timedelta(days=30) * (1 - number / MATCHES)
        back = MATCHES - 1 - number
        joined = len(NEWEST) <= back < len(NEWEST) + OUTLETS
        event = 10_000 + (MATCHES if joined else number)
        headline = NEWEST[back] if back < len(NEWEST) else HEADLINE if joined else f"Crowd number {number}"
        if event not in {row["id"] for row in rows[Event][-1:]}:
            rows[Event].append({"id": event, "key": f"k{number}", "started_at": at, "updated_at": at, "stories": 1})
        rows[Story].append(_story(10_000 + number, event, back % OUTLETS, headline, at))
        seen = {"story_id": 10_000 + number, "guid": f"g{number}", "seen_at": at, "listed_at": at}
        rows[Sighting].append({**seen, "feed": f"outlet-{back % OUTLETS}", "content_hash": "", "baseline": False})
        named = [{"field": "title", "start": 0, "end": 5, "term": "crowd", "entity": ""}]
        rows[Match].append({
            "story_id": 10_000 + number, "topic": "crowd", "rule": "r", "matched_at": at, "alerting": True,
            "evidence": named if headline.startswith("Crowd") else [],
        })  # fmt: skip
    for table, found in rows.items():
        session.execute(insert(table), found)
    fulltext.drop(session.connection())
    fulltext.make(session.connection())  # of what was put in by the table


def _story(number: int, event: int, outlet: int, headline: str, at: datetime) -> dict[str, Any]:
    return {
        "id": number, "key": f"url:https://o{outlet}.example/{number}", "event_id": event, "feed": f"outlet-{outlet}",
        "source": f"Outlet {outlet} {WORD if outlet == 1 else ''}", "url": f"https://o{outlet}.example/{number}",
        "title": headline, "title_fold": headline.casefold(), "summary": "", "text": "", "author": "", "language": "",
        "country": "", "tags": [], "published_raw": "", "claimed_at": at, "first_seen_at": at, "effective_at": at,
        "date_doubtful": False, "content_hash": "", "edits": 0,
    }  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readers]:
    topics = "".join(
        f"  group-{at}: {{title: {json.dumps(title(n))}, public: true, query: group{at}}}\n"
        for n, at in enumerate(GROUPS)
    )
    topics += f"  crowd: {{title: {LONG_NAME}, query: crowd}}\n  none: {{title: {WORD}, query: nothing-like-it}}\n"
    people = ""
    for n in range(PEOPLE):
        groups = ", ".join(f"group-{at}" for at in list(GROUPS)[n::PEOPLE])
        people += f"""
  hal-{n}:
    name: {json.dumps(MARKUP[n])}
    channels: {{mail: "mailto://127.0.0.1:2525?to=hal-{n}@corvid.example"}}
    digest: {{at: ["17:00"], via: [mail]}}
    subscriptions: [{{topics: [{groups}], alert: {{via: [mail], at_most: off}}, digest: true}}]
"""
    feeds = "feeds:\n" + "".join(
        f"  outlet-{n}: {{url: 'https://o{n}.example/x.xml', source: {json.dumps(MARKUP[n % len(MARKUP)])}}}\n"
        for n in range(OUTLETS)
    )
    files = {
        "monitor": MONITOR.replace("site: Corvid risk desk", f"site: {json.dumps(f'Desk {VECTORS[0]}')}\nevents: off"),
        "topics": f"topics:\n{topics}", "subscribers": f"subscribers:{people}", "feeds": feeds,
    }  # fmt: skip
    with readers(tmp_path_factory.mktemp("hostile"), history=False, **files) as one:
        one.pipe.time = NOW - timedelta(hours=2)
        schedule_slots(one.app, one.app.config, one.pipe.time)
        one.pipe.time = NOW - timedelta(hours=1)
        for n, text in enumerate(ALL):
            headline, url = f"Group{n - n % TOGETHER} {text}", f"javascript:{RUN}//{n}"
            one.pipe.put(f"outlet-{n % OUTLETS}", item(f"h{n}", headline, summary=f"Said {text}", url=url))
        one.pipe.time = NOW
        asked = SignUp(
            name="reader-x", address="x@kolva.example", topics=[f"group-{at}" for at in GROUPS], often="daily",
            language="en", asked_at=NOW,
        )  # fmt: skip
        one.app.store.preferences.ask(asked, NOW, lambda _row, _now: True)
        with one.app.store.write() as session:
            much(session)
        yield one


@pytest.fixture(scope="module")
def ask(made: Readers) -> Iterator[Client]:
    with serving(made.web()) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from launched()


@pytest.fixture
def reader(browser: Browser, ask: Client) -> Iterator[Visit]:
    """One of whom the program knows nothing."""
    with visiting(browser, base_url=f"http://127.0.0.1:{ask.port}", locale="en") as one:
        yield one


DESK = {"Authorization": "Bearer open-sesame"}


@pytest.fixture
def operator(browser: Browser, ask: Client) -> Iterator[Visit]:
    """One of those who run the desk."""
    with visiting(browser, base_url=f"http://127.0.0.1:{ask.port}", extra_http_headers=DESK) as one:
        yield one


def shown(page: Page) -> str:
    """The words of a page, those that are folded away too."""
    return " ".join(str(page.locator("body").evaluate("body => body.textContent")).split())


def inert(visit: Visit, path: str, *texts: str) -> None:
    """Open a page: nothing on it is alive, and it shows these texts as they were written."""
    if path:
        visit.page.goto(path)
    assert visit.page.evaluate(ALIVE) == [], path
    assert "run" not in visit.page.title().split(), path
    expect(visit.page.locator("h1")).to_be_visible()
    words = shown(visit.page)
    assert [text for text in texts if " ".join(text.split()) not in words] == [], path
    assert visit.said == []
    origin = visit.page.evaluate("location.origin")
    assert [url for url in visit.asked if not url.startswith(f"{origin}/")] == [], path
    assert beyond(visit.page) == [], path


def test_what_publishers_write_is_shown_on_the_desk_and_does_nothing(operator: Visit) -> None:
    operator.page.set_viewport_size({"width": 320, "height": 900})
    for n, at in enumerate(GROUPS):
        texts = ALL[at : at + TOGETHER]
        inert(operator, f"/topics/group-{at}?order=newest", title(n), *texts)
        inert(operator, f"/topics/group-{at}", title(n), *texts)
    for number in range(1, len(ALL) + 1):
        inert(operator, f"/stories/{number}?who=hal-0", ALL[number - 1])
    for path in ("/", "/topics", "/events?days=30&order=newest", "/deliveries", "/feeds", "/subscribers"):
        inert(operator, path)
    inert(operator, "/stories?story=group0", *ALL[:TOGETHER])
    inert(operator, "/lab?q=group0&days=7", *ALL[:TOGETHER])


@pytest.mark.parametrize("form", ["html", "phone", "text", "slack"])
def test_what_publishers_write_does_nothing_in_the_preview_of_a_digest(operator: Visit, form: str) -> None:
    for n in range(PEOPLE):
        inert(operator, f"/subscribers/hal-{n}/digest?form={form}&width={form}", MARKUP[n])
        texts = [text for at in list(GROUPS)[n::PEOPLE] for text in ALL[at : at + TOGETHER]]
        if form in ("text", "slack"):
            whole = operator.page.locator("pre.source")
            assert whole.evaluate("pre => pre.childElementCount") == 0
            # Words are broken, starred or escaped there, but none is left out.
            assert len(re.findall("group[0-9]+", whole.inner_text(), re.IGNORECASE)) >= len(texts)
        else:
            frame = operator.page.frames[1]
            frame.wait_for_load_state()
            assert frame.evaluate("document.querySelectorAll('script, img, svg, iframe, link, form, base').length") == 0
            links = frame.evaluate("[...document.links].map(a => a.getAttribute('href'))")
            assert [link for link in links if not re.match("#|https://desk.corvid.example/", link)] == []
            assert len(re.findall("group[0-9]+", frame.locator("body").inner_text(), re.IGNORECASE)) >= len(texts)


def test_titles_and_names_do_nothing_on_the_pages_of_subscribers(reader: Visit, made: Readers) -> None:
    reader.page.set_viewport_size({"width": 320, "height": 900})
    for n in range(PEOPLE):
        titles = [title(k) for k in range(len(GROUPS)) if k % PEOPLE == n]
        inert(reader, made.path(f"hal-{n}"), MARKUP[n], VECTORS[0], *titles)
        inert(reader, made.path(f"hal-{n}", "u"), MARKUP[n], VECTORS[0])
    for n, at in enumerate(GROUPS):
        inert(reader, f"/u/{sign(made.app.secret, f'hal-{n % PEOPLE}', f'group-{at}')}", title(n))
    for button in ("button[value=daily]", "", ".danger", "form button"):
        if button:
            reader.page.locator(button).first.click()
        else:
            reader.page.goto(f"/u/{sign(made.app.secret, f'hal-{n % PEOPLE}', f'group-{at}')}")
        inert(reader, "", title(n))


def test_titles_and_addresses_do_nothing_where_one_signs_up(reader: Visit, made: Readers) -> None:
    page = reader.page
    titles = [title(n) for n in range(len(GROUPS))]
    inert(reader, "/subscribe", VECTORS[0], *titles)
    inert(reader, f"/subscribe/{made.app.sign_until('reader-x', Purpose.CONFIRM, made.app.now())}", *titles)
    for text in MARKUP:
        page.goto(f"/subscribe?lang={quote(text)}&topic={quote(text)}")
        page.locator("form").evaluate("form => { form.noValidate = true }")
        page.locator("#address").fill(text)
        page.locator("button.primary").click()
        expect(page.get_by_role("alert")).to_be_visible()
        inert(reader, "")
        assert page.locator("#address").input_value() == text.replace("\n", "")


def test_what_publishers_write_does_nothing_on_the_public_page_of_a_topic(reader: Visit) -> None:
    reader.page.set_viewport_size({"width": 320, "height": 900})
    for n, at in enumerate(GROUPS):
        inert(reader, f"/topics/group-{at}?order=newest", title(n), *ALL[at : at + TOGETHER])
        assert reader.page.locator("main li a").count() == 0  # their addresses are scripts


ASKED = (
    "/topics/group-0?order={0}&days={0}&skip={0}", "/events?order={0}&days={0}&skip={0}", "/stories?story={0}&who={0}",
    "/stories/1?who={0}&topic={0}&people={0}", "/lab?q=grain&topic={0}&days={0}", "/lab?q={0}",
    "/feeds?q={0}&state={0}&sort={0}", "/deliveries?state={0}&before={0}", "/subscribers?who={0}&skip={0}",
    "/subscribers/hal-0/digest?form={0}&width={0}", "/topics/{0}", "/subscribers/{0}", "/subscribe?topic={0}&lang={0}",
)  # fmt: skip


@pytest.mark.parametrize("address", ASKED)
def test_what_an_address_says_is_no_part_of_a_page(ask: Client, address: str) -> None:
    shapes = {}
    for text in ("harmless", *MARKUP):
        answer = ask("GET", address.format(quote(text, safe="")), DESK)
        assert answer.status in (200, 404, 303), text
        if answer.status == 303:  # to the one story that has these words
            continue
        page = Parsed(answer.text)
        shapes[text] = (page.mistakes, [tag for tag in page.tags if tag in ("script", "img", "base", "style", "meta")])
        assert not (re.search('[<>"]', text) and text in answer.text.replace(VECTORS[0], "")), text
    assert {tuple(map(tuple, shape)) for shape in shapes.values()} == {((), ("meta",) * 4)}


CROWDED = {
    "crowd-desk": "/",
    "crowd-topics": "/topics",
    "crowd": "/topics/crowd",
    "crowd-newest": "/topics/crowd?order=newest",
    "crowd-hours": "/topics/crowd?days=1",
    "crowd-none": "/topics/none",
    "crowd-events": "/events?days=30",
    "crowd-newest-events": "/events?order=newest",
    "crowd-of-outlets": f"/stories/{10_000 + MATCHES - len(NEWEST) - OUTLETS}",
    "crowd-headline": f"/stories/{10_000 + MATCHES - 1}",
    "crowd-word": f"/stories/{10_000 + MATCHES - 2}",
    "crowd-arabic": f"/stories/{10_000 + MATCHES - 3}",
    "crowd-untitled": f"/stories/{10_000 + MATCHES - 4}",
    "crowd-script": f"/stories/{10_000 + MATCHES - 5}",
    "crowd-search": "/stories?story=crowd",
    "crowd-lab": "/lab?topic=crowd&q=crowd+AND+number",
    "crowd-feeds": "/feeds",
}


def test_much_of_everything_and_the_longest_words_have_no_fault(operator: Visit) -> None:
    found: dict[str, list[str]] = {}
    for name, path in CROWDED.items():
        answer = operator.page.goto(path)
        assert answer is not None
        size = len(answer.body())
        wrong = [*faults(operator, name), *([f"{size} bytes"] if size >= 60_000 else [])]
        if wrong:
            found[name] = wrong
    assert found == {}
    page = operator.page
    page.goto("/topics/crowd")
    expect(page.locator(".event .n").first).to_have_text("60sources")
    expect(page.locator("h1")).to_have_text(LONG_NAME)
    expect(page.locator("section[aria-labelledby=o]")).to_contain_text(f"{OUTLETS - 6} others")
    expect(page.locator("section[aria-labelledby=ev]")).to_contain_text(re.compile(r"1 to 8 of 9,\d{3} events"))
    page.goto("/topics/crowd?order=newest")
    expect(page.locator(".title").nth(3)).to_have_text("Untitled story")
    arabic = page.locator(".title", has_text="حشد")
    assert arabic.evaluate("title => getComputedStyle(title).direction") == "rtl"

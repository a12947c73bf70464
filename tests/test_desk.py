"""The desk's pages, asked over real HTTP of a program with a history."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from urllib.parse import urlencode, urljoin

import pytest
from starlette.routing import Mount, Route

from monitor.checking import load
from monitor.daemon import write_state
from monitor.errors import ConfigError
from monitor.models import Delivery
from monitor.service.desk import usually
from monitor.service.record import STATE
from tests.desk import NOW, World, world
from tests.make import write_config
from tests.test_web import FORM, Client, serving

PAGES = ("/", "/events", "/topics", "/topics/border-deployments", "/feeds", "/deliveries")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("desk")) as one:
        yield one


@pytest.fixture(scope="module")
def ask(made: World) -> Iterator[Client]:
    with serving(made.web()) as client:
        yield client


def text_of(page: str) -> str:
    """What a reader sees of a page, on one line."""
    page = re.sub(r"</?(?:a|b|bdi|mark|time)(?: [^>]*)?>", "", page)
    return " ".join(re.sub(r"<[^>]*>", " ", page).replace("&#39;", "'").replace("&#34;", '"').split())


@pytest.mark.parametrize("path", PAGES)
def test_every_page_answers_and_has_nothing_inline(ask: Client, path: str) -> None:
    answer = ask("GET", path)
    assert answer.status == 200
    assert not re.search(r"<script|<style| style=| on\w+=", answer.text)
    assert answer.text.count("<h1") == 1
    assert ask("HEAD", path).text == ""


def test_the_desk_says_in_one_sentence_what_happened_today(ask: Client) -> None:
    page = text_of(ask("GET", "/").text)
    assert "12 stories so far today. 10 of them matched, and make 6 events on 5 of your 5 topics." in page


def test_the_desk_lists_only_what_a_person_must_act_on(ask: Client) -> None:
    page = text_of(ask("GET", "/").text)
    attention = page[page.index("Needs attention") : page.index("Rules Valid")]
    assert "3 things" in attention
    assert "did not reach #risk-desk by slack: the channel does not exist, says Slack: channel_not_found" in attention
    assert "Baltrop Observer (baltrop-observer): its server refuses our requests (403)" in attention
    assert "Lowland Gazette (lowland-gazette): its polls succeed, but it has brought nothing" in attention
    assert "Sarn Shipping News" not in attention  # slow is no matter for a person


def test_the_desk_shows_what_became_of_an_event_for_each_subscriber_once(ask: Client) -> None:
    page = text_of(ask("GET", "/").text)
    event = page[page.index("Varkan interior troops") : page.index("4 more stories")]
    # #risk-desk, Kai (before he turned it off) and J. Arden got it; Ines sleeps; Ruth takes the digest.
    assert "Sent to 3" in event
    assert "Held for 1" in event
    assert "In the digest for 1" in event
    assert "Limited" not in event


def test_an_event_says_who_had_it_first_when_and_how_many_stories_it_has(ask: Client) -> None:
    page = text_of(ask("GET", "/").text)
    assert "first Northern Wire 09:00, latest 10:12, 5 stories Sent to 3" in page
    assert "Harbour Post 13:54 Failed for 1" in page


def test_all_events_of_a_day_have_a_page(ask: Client) -> None:
    page = text_of(ask("GET", "/events").text)
    assert "6 events today, those of most sources first." in page
    assert page.count("more stories in this event") == 1
    week = ask("GET", "/events?days=30&order=newest")
    said = text_of(week.text)
    assert re.search(r"1 to 10 of \d\d Next events", said)
    more = re.search(r'href="\?days=30&amp;order=newest&amp;skip=10"', week.text)
    assert more
    assert text_of(ask("GET", "/events?days=30&order=newest&skip=10").text) != said
    assert "No events here" in ask("GET", "/events?skip=99999").text


def test_a_day_of_a_topic_is_charted_by_the_hour(ask: Client) -> None:
    page = ask("GET", "/topics/border-deployments?days=1").text
    assert "6 stories in the last 24 hours" in text_of(page)
    values = re.search(r'aria-label="15:00 to 14:00: ([^"]+)"', page)
    assert values
    # At 9.0, 9.3, 9.5, 9.9, 10.2 and 10.6 hours.
    assert values[1].split(", ") == ["0"] * 18 + ["4", "2", "0", "0", "0", "0"]
    assert "Stories an hour" in page


def test_a_topic_says_what_it_catches_and_why(ask: Client) -> None:
    page = text_of(ask("GET", "/topics/border-deployments").text)
    assert "6 stories today in 2 events, 6 times usual. Alerts go to 4 subscribers, digests to 2." in page
    assert "Rule in topics.yaml line 3" in page
    assert "Varkan army, Varkan armed forces, Varka's military" in page
    assert re.search(r"battalion\* \d+ border \d+ @kolva 6", page)


def test_usual_is_the_middle_of_the_same_weekdays() -> None:
    weeks = [9, 0, 0, 0, 0, 0, 0] * 8
    found = usually([*weeks, 18])
    assert (found.middle, found.times) == (9, 2.0)
    assert usually([*weeks, 9]).times is None
    assert usually([1, 2]).times is None  # a first day is no trend


def test_feeds_come_problems_first_with_what_to_do(ask: Client) -> None:
    page = text_of(ask("GET", "/feeds").text)
    assert "7 of 10 running feeds are healthy; 1 broken, 1 silent, 1 slow." in page
    assert page.index("Baltrop Observer") < page.index("Lowland Gazette") < page.index("Sarn Shipping")
    only = ask("GET", "/feeds?state=problems&q=gazette").text
    assert "Lowland Gazette" in only
    assert "Baltrop Observer" not in only
    assert "No feed fits" in ask("GET", "/feeds?q=nothing-like-it").text


@pytest.mark.parametrize(
    ("state", "rows", "words"),
    [("failed", 1, "channel_not_found"), ("retrying", 1, "Slack asked us to wait"), ("held", 2, "Ines Okafor")],
)
def test_deliveries_by_how_they_stand(ask: Client, state: str, rows: int, words: str) -> None:
    page = ask("GET", f"/deliveries?state={state}").text
    assert page.count('<th scope="row">') == rows
    assert words in page


def test_deliveries_go_on_to_the_next_page(ask: Client) -> None:
    first = ask("GET", "/deliveries").text
    more = re.search(r'href="\?before=(\d+)"', first)
    assert more
    second = ask("GET", f"/deliveries?before={more[1]}").text
    assert second.count('<th scope="row">') == 50
    ids = [set(re.findall(r'name="id" value="(\d+)"', page)) for page in (first, second)]
    assert not ids[0] & ids[1]


def test_numbers_and_names_that_are_none_are_as_if_not_there(ask: Client) -> None:
    for path in (
        "/deliveries?before=x&state=nope", "/feeds?skip=-1&sort=nope&state=nope", "/topics/grain?days=%00&skip=1e9",
        "/deliveries?before=99999999999999999999", "/feeds?q=%ff%00", "/topics/grain?skip=999999999999999",
    ):  # fmt: skip
        assert ask("GET", path).status == 200, path
    assert ask("GET", "/topics/nope").status == 404


def test_a_button_sends_a_failed_message_again(made: World, ask: Client) -> None:
    page = ask("GET", "/deliveries?state=failed").text
    token = re.search(r'name="form_token" value="(\w+)"', page)
    number = re.search(r'name="id" value="(\d+)"', page)
    assert token
    assert number
    body = {"form_token": token[1], "id": number[1], "to": "/deliveries?state=failed"}
    answer = ask("POST", "/deliveries/retry", FORM, urlencode(body).encode())
    assert (answer.status, answer.headers["Location"]) == (303, "../deliveries?state=failed")
    row = made.app.store.reports.message(int(number[1]))
    assert row is not None
    assert (row.state, row.attempts) == ("pending", 0)
    with made.app.store.write() as session:  # as it was, for the other tests
        again = session.get(Delivery, row.id)
        assert again is not None
        again.state, again.attempts, again.finished_at = "dead", 1, NOW


def test_all_that_is_offered_is_linked_from_the_desk_and_every_link_leads_somewhere(ask: Client) -> None:
    waiting, found = ["/"], {"/": 200}
    while waiting and len(found) < 400:
        at = waiting.pop(0)
        page = ask("GET", at)
        found[at] = page.status
        if not page.headers["Content-Type"].startswith("text/html"):
            continue
        for link in map(unescape, re.findall(r'(?:href|src)="([^"#]+)', page.text)):
            to = urljoin(at, link)
            if to.startswith("/") and to not in found and to.partition("?")[0] not in seen_of(found):
                found[to] = 0
                waiting.append(to)
    assert {path for path, status in found.items() if status >= 400} == set()
    wanted = {"/topics/grain.atom", "/api/openapi.json", "/subscribers", "/subscribers/kai", "/subscribers/ruth/digest"}
    wanted |= {f"/export/{what}.csv" for what in ("stories", "matches", "deliveries")}
    assert wanted <= set(found)


def seen_of(found: Iterable[str]) -> set[str]:
    """The paths that were asked for often enough, whatever else an address says."""
    return {path for path, times in Counter(one.partition("?")[0] for one in found).items() if times >= 3}


def test_a_button_has_a_feed_polled_at_once(made: World, ask: Client) -> None:
    page = ask("GET", "/feeds").text
    token = re.search(r'name="form_token" value="(\w+)"', page)
    assert token
    before = made.app.store.feeds.get("baltrop-observer")
    assert before is not None
    body = {"form_token": token[1], "feed": "baltrop-observer", "to": "/feeds"}
    assert ask("POST", "/feeds/poll", FORM, urlencode(body).encode()).status == 303
    after = made.app.store.feeds.get("baltrop-observer")
    assert after is not None
    assert (before.next_poll_at, after.next_poll_at) == (NOW + timedelta(minutes=11), NOW)
    made.app.store.feeds.update("baltrop-observer", next_poll_at=before.next_poll_at)


LONG_QUERY = "(" + " OR ".join(f"battalion{n}" for n in range(20)) + ")"
QUERY = f"{LONG_QUERY} NEAR (border OR frontier) AND NOT (parade)"
FILES = {
    "topics.yaml": f"topics:\n  border:\n    query: '{QUERY}'\n  b:\n    any: [x]\n    qery: x\n",
    "subscribers.yaml": "subscribers:\n  ruth:\n    chanels: {mail: 'mailto://me:pass-word@x.example'}\n",
}


def shown(page: str) -> list[str]:
    """The excerpts of a page, as they are read."""
    return [unescape(re.sub("<[^>]*>", "", one)) for one in re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)]


def test_files_with_mistakes_are_told_loudly_with_their_lines_and_on_every_page(
    made: World, ask: Client, tmp_path: Path
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, {})
    path = made.app.data / STATE
    write_state(made.app.data, NOW - timedelta(hours=1), made.app.config, ())
    write_state(made.app.data, NOW - timedelta(minutes=3), made.app.config, raised.value.problems)
    try:
        page = ask("GET", "/").text
        text = text_of(page)
        assert "The files were not loaded: they have 4 mistakes" in text
        assert "Still running the last good rules, from 13:32." in text
        assert "the edit of 14:29 is not in use" in text
        assert "New rules not loaded" in text_of(ask("GET", "/feeds").text)
        query, key, _, hidden = shown(page)
        assert query.splitlines() == [
            "2    border:",
            "3  … OR battalion19) NEAR (border OR frontier …",
            "                     ^^^^",
            "4    b:",
        ]
        assert key.splitlines() == ["5      any: [x]", "6      qery: x", "       ^^^^"]
        assert hidden.splitlines()[1:] == ["3      chanels: …", "       ^^^^^^^"]
        assert "pass-word" not in path.read_text() + page
        draft = re.search(r'href="(lab[?]topic=border[^"]*)">Open it in the rule lab', page)
        assert draft
        lab = text_of(ask("GET", "/" + draft[1].replace("&amp;", "&")).text)
        assert "NEAR needs a distance" in lab
    finally:
        path.unlink()


def test_a_desk_without_topics_says_what_is_left_to_do(tmp_path: Path) -> None:
    empty = World(tmp_path, topics="topics: {}\n", subscribers="", entities="")
    with serving(empty.web()) as ask:
        page = text_of(ask("GET", "/").text)
        assert "2 steps are left before the first alert can go out." in page
        assert "Feeds are being read" in page
        for path in ("/topics", "/feeds", "/deliveries"):
            assert ask("GET", path).status == 200
        assert "No topics yet" in ask("GET", "/topics").text
        assert "Nothing was sent yet" in ask("GET", "/deliveries").text


def test_every_route_of_the_running_program_is_public_on_purpose_or_gated(made: World) -> None:
    public = {"/healthz", "/readyz", "/login", "/a/{token}", "/u/{token}", "/u/{token}/undo", "/static"}
    public |= {"/u/{token}/less", "/s/{token}", "/subscribe", "/subscribe/{token}"}
    with serving(made.web("open-sesame")) as ask:
        for route in made.web("open-sesame").routes:
            assert isinstance(route, Route | Mount), f"the walk does not know {route!r}"
            methods = (route.methods or set()) if isinstance(route, Route) else {"GET"}
            path = re.sub(r"\{[^}]*\}", "x", route.path) + ("/x" if isinstance(route, Mount) else "")
            for method in methods:
                refused = "WWW-Authenticate" in ask(method, path).headers
                assert refused == (route.path not in public), (method, route.path)


def test_every_post_of_the_running_program_demands_a_form_of_ours(made: World, ask: Client) -> None:
    posts = [route for route in made.web().routes if isinstance(route, Route) and "POST" in (route.methods or ())]
    own_proof = ("/a/", "/u/", "/s/", "/subscribe/")
    paths = [route.path for route in posts if not route.path.startswith(own_proof)]
    guarded = [path for path in paths if path not in ("/login", "/subscribe")]
    assert {
        "/subscribers/{name}/digest/test",
        "/feeds/poll",
        "/deliveries/retry",
        "/logout",
        "/subscribers/clear",
        "/subscribers/remove",
        "/addresses/resume",
    } <= set(guarded)
    for path in guarded:
        answer = ask("POST", re.sub(r"\{[^}]*\}", "x", path), FORM, b"form_token=guess&id=1&feed=delta-post")
        assert (answer.status, "not one of ours" in answer.text) == (400, True), path


def test_the_configuration_is_checked_for_a_way_in(tmp_path: Path) -> None:
    from monitor.config import load_config
    from monitor.errors import ConfigError

    folder = write_config(tmp_path, monitor="web: {host: 0.0.0.0}\n")
    with pytest.raises(ConfigError, match="needs a `token`"):
        load_config(folder, {})
    (folder / "monitor.yaml").write_text("web: {host: 0.0.0.0, user_header: X-User, proxies: [10.0.0.2]}\n")
    web = load_config(folder, {}).settings.web
    assert web is not None
    assert (web.user_header, list(web.proxies)) == ("X-User", ["10.0.0.2"])

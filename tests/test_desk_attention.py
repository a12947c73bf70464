"""What the desk says of addresses that are not written to, of what is to come, and in which zone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from monitor.models import Decision, Delivery
from monitor.pipeline.digest import schedule_slots
from monitor.service.clocks import with_times
from monitor.service.journey import explain, why
from monitor.store.endpoints import SUSPENDED
from monitor.web.words import Words
from tests.desk import web_of
from tests.pipe import Pipe, item
from tests.test_desk import text_of
from tests.test_web import FORM, serving

RUTH = """
subscribers:
  ruth:
    name: Ruth Whitcombe
    timezone: Europe/London
    channels: {mail: "mailto://127.0.0.1:2525?to=ruth@corvid.example"}
    digest: {at: ["17:00"], via: [mail]}
    quiet_hours: {from: "22:00", to: "07:00"}
    subscriptions: [{topics: all, alert: {via: [mail]}, digest: true}]
"""
LONDON = "site: desk\ntimezone: Europe/London\n"


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    made = Pipe(tmp_path, topics="topics: {border: {any: [border]}}", subscribers=RUTH, monitor=LONDON)
    yield made
    made.close()


def test_an_address_that_is_suspended_is_seen_and_written_to_again(pipe: Pipe) -> None:
    pipe.time = pipe.time.replace(hour=9)
    pipe.put("wire", *(item(str(n), f"Border number {n}") for n in range(4)))
    store, rows = pipe.app.store, pipe.deliveries("alert")
    for row in rows[:3]:
        store.endpoints.refused(row, pipe.time, "550 5.1.1 <b>no such user</b>")
    with store.write() as session:
        held = session.get(Delivery, rows[3].id)
        assert held is not None
        held.state, held.code, held.detail = "held", SUSPENDED, "the address refuses messages: 550 5.1.1"
    with serving(web_of(pipe.app)) as ask:
        page = ask("GET", "/").text
        attention = text_of(page[page.index("Needs attention") : page.index("<dt>Rules")])
        assert "1 thing Suspended The address of Ruth Whitcombe by mail refused 3 messages in a row:" in attention
        assert "Nothing is sent to it since 09:00; what is for it is held." in attention
        assert "<b>no such user" not in page
        outbox = ask("GET", "/deliveries?state=held").text
        assert outbox.count('<th scope="row">') == 1
        assert "The address refuses messages: 550 5.1.1 Resume address" in text_of(outbox)
        form = re.search(r'name="form_token" value="(\w+)"', page)
        key = re.search(r'name="key" value="([^"]+)"', page)
        assert form
        assert key
        body = {"form_token": form[1], "key": key[1], "to": "/"}
        done = ask("POST", "/addresses/resume", FORM, urlencode(body).encode())
        assert (done.status, done.headers["Location"]) == (303, "../")
        assert store.endpoints.suspended() == {}
        assert {row.state for row in pipe.deliveries("alert")} == {"pending"}
        assert "refused 3 messages" not in ask("GET", "/").text
        again = ask("POST", "/addresses/resume", FORM, urlencode(body).encode())
        assert (again.status, "is not suspended" in again.text) == (404, True)


def test_what_is_scheduled_and_when_a_message_is_given_up_is_said(pipe: Pipe) -> None:
    pipe.time = pipe.time.replace(hour=9)
    schedule_slots(pipe.app, pipe.app.config, pipe.time)
    pipe.put("wire", item("1", "A border"))
    with pipe.app.store.write() as session:
        row = session.get(Delivery, 1)
        assert row is not None
        row.attempts, row.detail, row.expires_at = 3, "451 try again later", pipe.time + timedelta(days=1, hours=5)
    with serving(web_of(pipe.app)) as ask:
        page = text_of(ask("GET", "/deliveries").text)
        assert "Scheduled Ruth Whitcombe 17:00 0 Preview the digest to Ruth Whitcombe" in page
        assert "451 try again later. Gives up Thursday 14:00. Try now" in page
        assert "Scheduled" not in text_of(ask("GET", "/deliveries?state=retrying").text)
        assert ask("GET", "/subscribers/ruth/digest").status == 200


def test_a_page_says_all_times_in_its_zone(pipe: Pipe) -> None:
    # In summer, when London is not at UTC: quiet hours from 22:00 to 07:00 end at 06:00 UTC.
    pipe.time = datetime(2026, 7, 14, 2, 30, tzinfo=UTC)
    pipe.put("wire", item("1", "A border at night"))
    (decision,) = pipe.rows(Decision)
    assert decision.detail == "quiet hours until 06:00 UTC"
    pipe.app.store.feeds.update(
        "wire", error="its server is overloaded (503)", failures=5, failing_since=pipe.time - timedelta(hours=1)
    )
    with serving(web_of(pipe.app)) as ask:
        story, feeds = (text_of(ask("GET", path).text) for path in ("/stories/1", "/feeds"))
        desk = text_of(ask("GET", "/").text)
    assert "Quiet hours until 07:00" in story
    assert "failed 5 times since 02:30" in feeds
    assert "failed 5 times since 02:30" in desk
    assert "UTC" not in story + feeds + desk
    assert why(pipe.app, explain(pipe.app, "night"), "ruth", pipe.time)[0] == (
        "Ruth Whitcombe will get it at 07:00 (Europe/London)."
    )


@pytest.mark.parametrize(
    ("read_at", "due_at"),
    [
        # The clocks of London go back on 25 October 2026 at 01:00 UTC, and forward on 29 March 2026.
        (datetime(2026, 10, 24, 22, 30, tzinfo=UTC), datetime(2026, 10, 25, 7, tzinfo=UTC)),
        (datetime(2026, 3, 28, 23, 30, tzinfo=UTC), datetime(2026, 3, 29, 6, tzinfo=UTC)),
    ],
)
def test_quiet_hours_across_a_clock_change_end_at_their_hour(pipe: Pipe, read_at: datetime, due_at: datetime) -> None:
    pipe.time = read_at
    pipe.put("wire", item("1", "A border at night"))
    (decision,) = pipe.rows(Decision)
    assert decision.due_at == due_at
    with serving(web_of(pipe.app)) as ask:
        page = text_of(ask("GET", "/stories/1?who=ruth").text)
        outbox = text_of(ask("GET", "/deliveries").text)
    assert "Quiet hours until Sunday 07:00" in page
    assert "Held to Sunday 07:00" in page
    assert f"Ruth Whitcombe will get it at {due_at:%Y-%m-%d} 07:00 (Europe/London)." in page
    assert "It matched border at 23:30 (Europe/London), in quiet hours." in page
    assert "Held Ruth Whitcombe Sunday 07:00" in outbox


def test_times_in_sentences() -> None:
    after = datetime(2026, 11, 24, 22, 15, 30, tzinfo=UTC)
    words = Words(after, ZoneInfo("Asia/Tokyo"))  # 07:15 on the 25th
    assert words.local("quiet hours until 07:00 UTC", after) == "quiet hours until 16:00"
    assert words.local("waits until 22:15:30 UTC for others", after) == "waits until 07:15 for others"
    assert words.local("since 2026-11-22 08:32 UTC, at most") == "since Sunday 17:32, at most"
    for text in ("at 99:99 UTC", "1:30 UTC", "12:30:00.5 UTC", "10:00", "2026-13-40 10:00 UTC", ""):
        assert with_times(text, after, lambda _: "x") == text


def test_held_messages_of_any_kind_are_counted_as_held(pipe: Pipe) -> None:
    pipe.time = pipe.time.replace(hour=9)
    pipe.put("wire", item("1", "A border"), item("2", "Another border"))
    with pipe.app.store.write() as session:
        row = session.get(Delivery, 1)
        assert row is not None
        row.state, row.code = "held", "budget"
    standings = pipe.app.store.reports.standings(pipe.time)
    assert (standings["held"], standings["queued"], sum(standings.values())) == (1, 1, 2)
    with serving(web_of(pipe.app)) as ask:
        assert "0 are being retried, 1 is held, 0 failed" in text_of(ask("GET", "/deliveries").text)


def test_a_topic_says_what_its_not_removed_and_what_came_close(tmp_path: Path) -> None:
    rule = "topics: {border: {query: border NEAR/3 closed AND NOT drill}}"
    pipe = Pipe(tmp_path, topics=rule, subscribers=RUTH, monitor=LONDON)
    titles = (
        "Border closed",
        "Border closed in a drill",
        "A drill: border closed",
        "Border said to be not at all closed",
    )
    pipe.put("wire", *(item(str(n), title) for n, title in enumerate(titles)))
    with serving(web_of(pipe.app)) as ask:
        assert "NOT removed 2 stories; 1 more came close." in text_of(ask("GET", "/topics/border").text)
        pipe.forward(hours=60)
        assert "came close" not in text_of(ask("GET", "/topics/border?days=1").text)
    pipe.close()

"""The outbox goes out: fairly, once, and not against a reader's word."""

from __future__ import annotations

import asyncio
import email.utils
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor.app import App, open_app
from monitor.dispatch import Notice
from monitor.models import Delivery
from monitor.pipeline.deliver import deliver_due, drain, notify_operators
from tests import make
from tests.pipe import START, Pipe, item
from tests.servers import Answer, Asked, MailServer, WebServer


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


def subscribers(port: int) -> str:
    return f"""
subscribers:
  ruth:
    channels: {{mail: "mailto://127.0.0.1:{port}?to=ruth@corvid.example"}}
    subscriptions: [{{topics: all, alert: {{via: [mail], at_most: off}}}}]
"""


def states(app: App) -> list[tuple[str, str]]:
    return [(row.state, row.detail) for row in app.store.outbox.latest()]


async def test_two_looks_at_once_send_one_message_of_a_channel_at_a_time(tmp_path: Path, mail: MailServer) -> None:
    pipe = Pipe(tmp_path, START, subscribers=subscribers(mail.port))
    pipe.put("wire", *(item(str(n), f"Sanctions agreed by the council, part {n}") for n in range(4)))
    app = pipe.app
    try:
        one, other = await asyncio.gather(deliver_due(app), deliver_due(app))
        assert (len(one), len(other)) == (1, 0)
        await asyncio.wait(one)
        await drain(app)
        assert len(mail.mails) == 4
    finally:
        await app.close()


def dates(mail: MailServer) -> list[datetime]:
    found = (email.message_from_bytes(one.content)["Date"] for one in mail.mails)
    return [email.utils.parsedate_to_datetime(date).astimezone(UTC) for date in found]


async def test_a_held_mail_is_dated_when_it_goes_and_every_attempt_is_the_same_to_the_byte(
    tmp_path: Path, mail: MailServer
) -> None:
    night = subscribers(mail.port) + '    quiet_hours: {from: "05:00", to: "07:00"}\n    timezone: UTC\n'
    pipe = Pipe(tmp_path, START, subscribers=night)
    pipe.put("wire", item("1", "Sanctions agreed"))
    released = START + timedelta(hours=1)
    try:
        await drain(pipe.app)
        assert mail.mails == []
        pipe.time = released
        mail.replies["DATA"] = "drop"
        await drain(pipe.app)
        mail.replies.clear()
        pipe.restart()
        pipe.forward(days=1)  # the day of the week is said then
        await drain(pipe.app)
        first, second = mail.mails
        assert first.content == second.content
        assert dates(mail) == [released, released]
    finally:
        await pipe.app.close()


async def test_a_mail_that_never_went_out_has_the_date_of_the_retry_by_hand(tmp_path: Path, mail: MailServer) -> None:
    pipe = Pipe(tmp_path, START, subscribers=subscribers(mail.port))
    pipe.put("wire", *(item(str(n), f"Sanctions agreed by the council, part {n}") for n in range(4)))
    mail.refused.add("ruth@corvid.example")
    try:
        await drain(pipe.app)  # three are refused, and the fourth held for a suspended address
        mail.refused.clear()
        pipe.forward(hours=5)
        dead = next(row.id or 0 for row in pipe.rows(Delivery) if row.state == "dead")
        pipe.app.store.outbox.requeue([dead], pipe.time, pipe.time + timedelta(days=3))
        await drain(pipe.app)
        assert dates(mail) == [START + timedelta(hours=5)] * 2
    finally:
        await pipe.app.close()


async def test_parts_that_went_do_not_come_again_after_a_restart(tmp_path: Path) -> None:
    answers: Iterator[Answer] = iter([(200, {}, b"{}"), (503, {}, b"")])
    titles: list[str] = []

    def answer(asked: Asked) -> Answer:
        titles.append("".join(re.findall(r"\(\d/\d\)", asked.fields["title"])))
        return next(answers, (200, {}, b"{}"))

    ntfy = WebServer(answer)
    monitor = make.MONITOR + f'operators: ["ntfy://127.0.0.1:{ntfy.port}/desk"]\n'
    pipe = Pipe(tmp_path, START, monitor=monitor)
    notify_operators(pipe.app, "long", Notice("Вести", ("Слово " * 30,) * 14), pipe.time)
    try:
        await drain(pipe.app)
        assert titles == ["(1/2)", "(2/2)"]
        assert [(row.state, row.parts) for row in pipe.rows(Delivery)] == [("pending", 1)]
        pipe.restart()
        pipe.forward(hours=1)
        await drain(pipe.app)
        assert titles == ["(1/2)", "(2/2)", "(2/2)"]
        assert [row.state for row in pipe.rows(Delivery)] == ["sent"]
    finally:
        await pipe.app.close()
        ntfy.close()


async def test_what_was_turned_off_since_it_was_made_is_not_sent(tmp_path: Path, mail: MailServer) -> None:
    pipe = Pipe(tmp_path, START, subscribers=subscribers(mail.port))
    pipe.put("wire", item("1", "Sanctions and troops at the border"), item("2", "Sanctions agreed by the council"))
    app = pipe.app
    app.store.preferences.turn_off("ruth", "sanctions", app.now())
    try:
        await drain(app)
        assert [m.rcpt_tos for m in mail.mails] == [["ruth@corvid.example"]]  # the one about the border too
        app.store.preferences.turn_off("ruth", "border-deployments", app.now())
        pipe.app.store.outbox.add(make.delivery("later", now=pipe.time))
        assert sorted(state for state, _ in states(app)) == ["cancelled", "pending", "sent"]
    finally:
        await app.close()


async def absence(tmp_path: Path, mail: MailServer) -> None:
    """Ruth's message waits for the server; she goes away; the server comes back for others."""
    omar = f"""
  omar:
    channels: {{mail: "mailto://127.0.0.1:{mail.port}?to=omar@corvid.example"}}
    subscriptions: [{{topics: [border-deployments], alert: {{via: [mail]}}}}]
"""
    pipe = Pipe(tmp_path, START, subscribers=subscribers(mail.port) + omar)
    app, away = pipe.app, pipe.time + timedelta(days=3)
    pipe.put("wire", item("1", "Sanctions agreed"))
    mail.replies["MAIL"] = "421 4.3.2 closing"
    try:
        await drain(app)
        assert app.store.policies.pause("ruth", away, pipe.time) == 1
        mail.replies.clear()
        pipe.forward(minutes=5)
        pipe.put("wire", item("2", "Troops at the border"))
        for _ in range(5):
            await drain(app)
            pipe.forward(minutes=1)
        assert [one.rcpt_tos for one in mail.mails] == [["omar@corvid.example"]]
        (hers,) = (row for row in pipe.deliveries("alert") if row.subscriber == "ruth")
        assert (hers.state, hers.attempts, hers.next_attempt_at) == ("pending", 1, away)
        assert timedelta(days=3) <= hers.expires_at - away <= timedelta(days=7)
        pipe.time = away
        await drain(app)
        assert [one.rcpt_tos for one in mail.mails][1:] == [["ruth@corvid.example"]]
    finally:
        await app.close()


async def test_a_message_that_was_tried_before_its_reader_went_away_waits_for_the_return(
    tmp_path: Path, mail: MailServer
) -> None:
    await absence(tmp_path, mail)


@pytest.mark.usefixtures("on_postgres")
async def test_it_waits_on_postgresql_too(tmp_path: Path, mail: MailServer) -> None:
    await absence(tmp_path, mail)


@pytest.mark.parametrize("topics", [["sanctions"], ["sanctions", "border-deployments"]])
async def test_a_message_that_was_on_its_way_when_its_topic_was_silenced_is_not_tried_again(
    tmp_path: Path, mail: MailServer, topics: list[str]
) -> None:
    pipe = Pipe(tmp_path, START, subscribers=subscribers(mail.port))
    app, until = pipe.app, pipe.time + timedelta(hours=4)
    pipe.put("wire", item("1", "Sanctions and troops at the border" if topics[1:] else "Sanctions agreed"))
    (claimed,) = app.store.outbox.claim(pipe.time, 60, 1)
    try:
        assert app.store.policies.silence("sanctions", until, "", pipe.time) == 0  # it is being sent
        app.store.outbox.retry(claimed.id or 0, claimed.fence, pipe.time, "451", "later", False)
        await drain(app)
        told = ("cancelled", "silenced by the operators until 2026-11-25 10:00 UTC")
        if topics[1:]:  # it is about another one, too
            assert [state for state, _ in states(app)] == ["sent"]
        else:
            assert states(app) == [told]
    finally:
        await app.close()


async def test_what_comes_too_late_is_told_to_the_operators_once(tmp_path: Path, mail: MailServer) -> None:
    monitor = make.MONITOR + f'operators: ["mailto://127.0.0.1:{mail.port}?to=ops@corvid.example"]\n'
    pipe = Pipe(tmp_path, START, subscribers=subscribers(mail.port), monitor=monitor)
    pipe.put("wire", item("1", "Sanctions agreed"), item("2", "Sanctions extended by a year"))
    pipe.forward(days=5)
    try:
        await drain(pipe.app)
        await drain(pipe.app)
        assert [one.rcpt_tos for one in mail.mails] == [["ops@corvid.example"]]
        assert b"2 messages were not delivered in time" in mail.mails[0].content
        assert [state for state, _ in states(pipe.app)].count("dead") == 2
    finally:
        await pipe.app.close()


async def test_an_attempt_that_fails_in_a_way_nobody_foresaw_counts_and_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = Pipe(tmp_path, START)
    pipe.put("wire", item("1", "Sanctions agreed"))

    def broken(*_: object) -> None:
        raise KeyError("nobody foresaw this")

    monkeypatch.setattr("monitor.pipeline.deliver.render", broken)
    try:
        (done,) = await drain(pipe.app)
        assert (done.outcome.kind, done.outcome.code) == ("retry", "KeyError")
        (row,) = pipe.rows(Delivery)
        assert (row.state, row.attempts) == ("pending", 1)
    finally:
        await pipe.app.close()


async def test_a_message_made_before_the_clock_went_back_is_due(tmp_path: Path, mail: MailServer) -> None:
    pipe = Pipe(tmp_path, START, subscribers=subscribers(mail.port))
    pipe.forward(days=300)
    pipe.put("wire", item("1", "Sanctions agreed"))
    pipe.forward(days=-300)
    try:
        assert [one.outcome.kind for one in await drain(pipe.app)] == ["sent"]
    finally:
        await pipe.app.close()


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    opened = open_app(make.config(tmp_path / "config"), tmp_path / "data", lambda: make.NOW)
    yield opened
    await opened.close()


async def test_a_backlog_of_one_keeps_nobody_waiting(app: App) -> None:
    for n in range(100):
        app.store.outbox.add(make.delivery(f"ruth-{n}", now=make.NOW - timedelta(minutes=1)))
    app.store.outbox.add(make.delivery("sam", subscriber="sam"))
    assert [row.key for row in app.store.outbox.claim(make.NOW, 60, 8)] == ["ruth-0", "sam"]
    app.store.outbox.sweep(make.NOW, gone="")
    assert [row.key for row in app.store.outbox.claim(make.NOW, 60, 8, ("ruth/mail",))] == ["sam"]


async def test_an_answer_that_comes_after_the_lease_counts_and_keeps_a_new_claim_from_sending(app: App) -> None:
    outbox = app.store.outbox
    outbox.add(make.delivery("k"))
    (row,) = outbox.claim(make.NOW, 60, 8)
    late = make.NOW + timedelta(seconds=90)
    assert outbox.sweep(late, busy=("ruth/mail",)) == 0
    assert outbox.sweep(late) == 1
    assert row.id is not None
    assert outbox.finish(row.id, row.fence, late, "250", "", "q1")
    outbox.add(make.delivery("l"))
    (one,) = outbox.claim(make.NOW, 60, 8)
    outbox.sweep(late)
    (again,) = outbox.claim(late, 60, 8)
    assert one.id is not None
    assert again.fence == one.fence + 1
    assert outbox.finish(one.id, one.fence, late, "250", "", "q2")
    assert not outbox.mark_wire(one.id, again.fence, late)
    assert [(row.state, row.receipt) for row in outbox.latest(limit=1)] == [("sent", "q2")]


async def test_a_part_that_was_taken_counts_though_its_claim_has_ended_and_no_more_go(app: App) -> None:
    outbox = app.store.outbox
    outbox.add(make.delivery("k"))
    (one,) = outbox.claim(make.NOW, 60, 8)
    assert one.id is not None
    assert outbox.mark_part(one.id, one.fence, 1)
    outbox.sweep(make.NOW, gone="")
    (again,) = outbox.claim(make.NOW, 60, 8)
    assert not outbox.mark_part(one.id, one.fence, 2)
    assert not outbox.mark_part(one.id, one.fence, 1)
    assert outbox.mark_part(one.id, again.fence, 1)
    assert [row.parts for row in outbox.latest()] == [2]


async def test_a_message_taken_twice_is_on_record_as_that(app: App) -> None:
    outbox = app.store.outbox
    outbox.add(make.delivery("k"))
    (one,) = outbox.claim(make.NOW, 60, 8)
    late = make.NOW + timedelta(seconds=90)
    outbox.sweep(late)
    (again,) = outbox.claim(late, 60, 8)
    assert one.id is not None
    assert outbox.mark_wire(one.id, again.fence, late)
    assert not outbox.finish(one.id, one.fence, late, "250", "", "q1")
    assert outbox.finish(one.id, again.fence, late, "250", "", "q2")
    assert [(row.state, row.maybe_dup) for row in outbox.latest()] == [("sent", 1)]

"""Endpoints: what leads to the same server, and that one which hangs, throttles or is down delays nobody else."""

from __future__ import annotations

import asyncio
import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.app import App, open_app
from monitor.endpoints import OPEN_AFTER, endpoint_of, is_down, pace_of, probe_delay, recipient_of
from monitor.errors import StoreError
from monitor.models import Delivery
from monitor.pipeline.deliver import deliver_due, drain
from tests import make
from tests.fakes import free_port
from tests.pipe import START, Pipe, item
from tests.servers import MailServer

NOW = make.NOW


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("mailto://u:p@smtp.example:25?to=a@x.example", "mailto://v:q@SMTP.example:25/?to=b@x.example", True),
        ("mailto://smtp.example:25?to=a@x.example", "mailto://smtp.example:26?to=a@x.example", False),
        ("mailtos://u:p@x.example?smtp=mx.example", "mailtos://u:p@y.example?smtp=mx.example", True),
        ("slack://T1/B1/secret", "slack://T1/B1/secret/?footer=no", True),
        ("slack://T1/B1/secret", "slack://T1/B2/secret", False),
        ("tgram://123:abc/77", "tgram://123:abc/78", False),
        ("discord://id/token", "discord://id/token?tts=no", True),
        ("json://u:p@hook.example/a", "json://hook.example/b", True),
    ],
)
def test_which_addresses_lead_to_the_same_endpoint(one: str, other: str, same: bool) -> None:
    assert (endpoint_of(one) == endpoint_of(other)) == same
    assert recipient_of(one) != recipient_of(other)


def test_no_name_of_an_endpoint_or_a_recipient_holds_a_secret() -> None:
    for url in (
        "mailto://user:hunter2@smtp.example:25?to=ruth@x.example",
        "slack://TSECRET/BSECRET/hunter2",
        "tgram://123456:hunter2/77",
        "ntfys://hunter2@ntfy.sh/topic",
        "pover://hunter2@token",
        "json://[broken",
    ):
        shown = endpoint_of(url) + recipient_of(url)
        assert "hunter2" not in shown
        assert "SECRET" not in shown
        assert "ruth" not in shown
    assert endpoint_of("mailto://user:hunter2@smtp.example:25?to=ruth@x.example") == "mail smtp.example:25"


def test_paces_are_those_that_the_services_document() -> None:
    shown = {url: pace_of(endpoint_of(url)) for url in ("slack://T/B/c", "tgram://t/5", "tgram://t/-5", "mailto://x")}
    assert [(pace.at_once, pace.gap) for pace in shown.values()] == [(1, 1.0), (1, 1.0), (1, 3.0), (4, 0.0)]


def test_what_says_that_a_server_is_down_and_what_only_that_it_does_not_take_this() -> None:
    assert [code for code in ("450", "451", "452", "550") if is_down(code)] == ["550"]  # of a retry: a login
    assert all(is_down(code) for code in ("421", "429", "408", "503", "TimeoutError", "connection", ""))


def test_probes_come_less_and_less_often() -> None:
    assert [probe_delay(n) for n in (0, 1, OPEN_AFTER - 1)] == [0, 0, 0]
    assert [probe_delay(OPEN_AFTER + n) for n in (0, 1, 2, 50)] == [15, 30, 60, 600]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    opened = open_app(make.config(tmp_path / "config"), tmp_path / "data", lambda: NOW)
    yield opened
    opened.store.close()


def put(app: App, endpoint: str, *lanes: str, now: Any = NOW) -> None:
    for place, lane in enumerate(lanes):
        row = make.delivery(f"{endpoint} {lane} {place} {now}", subscriber=lane, now=now)
        row.endpoint, row.recipient = endpoint, lane
        assert app.store.outbox.add(row)


def claimed(app: App, now: Any = NOW, limit: int = 16, **options: Any) -> list[tuple[str, str]]:
    return [(row.endpoint, row.subscriber) for row in app.store.outbox.claim(now, 60, limit, **options)]


def test_an_endpoint_gets_four_messages_at_once_and_the_endpoints_take_turns(app: App) -> None:
    put(app, "mail a", *(f"a{n}" for n in range(30)), now=NOW - timedelta(minutes=5))
    put(app, "mail b", "b0", "b1")
    assert claimed(app, limit=3) == [("mail a", "a0"), ("mail b", "b0"), ("mail a", "a1")]
    assert claimed(app) == [("mail a", "a2"), ("mail b", "b1"), ("mail a", "a3")]
    assert claimed(app) == []


def test_a_backlog_of_one_reader_keeps_no_other_of_the_same_endpoint_waiting(app: App) -> None:
    put(app, "mail a", *["ruth"] * 500, now=NOW - timedelta(minutes=5))
    put(app, "mail a", "sam", "eve")
    assert claimed(app) == [("mail a", "ruth"), ("mail a", "sam"), ("mail a", "eve")]


def test_a_second_worker_keeps_to_what_the_first_one_uses(app: App, tmp_path: Path) -> None:
    other = open_app(app.config, tmp_path / "other", lambda: NOW, migrate=False)
    other.store.close()
    other.store = type(app.store)(f"sqlite:///{app.data}/monitor.db", tmp_path)
    put(app, "slack x", "omar", "eve")
    put(app, "mail a", "ruth", "sam")
    assert claimed(app, limit=2) == [("mail a", "ruth"), ("slack x", "omar")]
    assert claimed(other) == [("mail a", "sam")]
    other.store.close()


def test_a_paced_endpoint_gets_one_message_a_second(app: App) -> None:
    put(app, "slack x", "ruth", "sam")
    (row,) = app.store.outbox.claim(NOW, 60, 16)
    assert row.id is not None
    app.store.outbox.finish(row.id, row.fence, NOW, "200", "", "")
    assert claimed(app, NOW + timedelta(seconds=0.9)) == []
    assert app.store.outbox.next_turn(NOW + timedelta(seconds=0.9)) == NOW + timedelta(seconds=1)
    assert claimed(app, NOW + timedelta(seconds=1)) == [("slack x", "sam")]


def test_discord_takes_a_few_at_once_and_then_one_in_two_seconds(app: App) -> None:
    put(app, "discord x", *(f"r{n}" for n in range(9)))
    took = []
    for second in range(5):
        now = NOW + timedelta(seconds=second)
        while rows := app.store.outbox.claim(now, 60, 16):
            took += [second for _ in rows]
            for row in rows:
                app.store.outbox.finish(row.id or 0, row.fence, now, "200", "", "")
    assert took == [0, 0, 0, 0, 0, 2, 4]


def test_a_clock_that_goes_back_stops_no_endpoint(app: App) -> None:
    put(app, "slack x", "ruth", now=NOW - timedelta(days=301))
    app.store.endpoints.failed("slack x", NOW, "gone", down=True, rest=3600)
    assert claimed(app, NOW - timedelta(days=300)) == [("slack x", "ruth")]


def test_an_endpoint_that_fails_three_times_is_left_alone_and_then_tried_with_one_message(app: App) -> None:
    endpoints = app.store.endpoints
    put(app, "mail a", "ruth", "sam", "eve")
    for _ in range(OPEN_AFTER - 1):
        endpoints.failed("mail a", NOW, "no answer", down=True)
    assert len(claimed(app)) == 1  # already one by one
    app.store.outbox.sweep(NOW, gone="")
    endpoints.failed("mail a", NOW, "no answer", down=True)
    assert [(row.key, row.failures, row.error) for row in endpoints.failing(NOW)] == [("mail a", 3, "no answer")]
    assert claimed(app, NOW + timedelta(seconds=14)) == []
    assert len(claimed(app, NOW + timedelta(seconds=15))) == 1
    app.store.outbox.sweep(NOW, gone="")
    endpoints.answered("mail a", NOW)
    assert endpoints.failing(NOW) == []
    assert len(claimed(app)) == 3


def test_a_server_that_is_back_gets_what_waited_for_it_at_once(app: App) -> None:
    put(app, "mail a", "ruth")
    (row,) = app.store.outbox.claim(NOW, 60, 16)
    assert row.id is not None
    app.store.outbox.retry(row.id, row.fence, NOW + timedelta(hours=1), "timeout", "no answer", maybe_sent=False)
    app.store.endpoints.failed("mail a", NOW, "no answer", down=True)
    assert claimed(app) == []
    app.store.endpoints.answered("mail a", NOW)
    assert claimed(app) == [("mail a", "ruth")]


def test_endpoints_that_fail_never_hold_all_senders(app: App) -> None:
    for n in range(20):
        put(app, f"mail bad{n:02}", "ruth" + str(n), now=NOW - timedelta(minutes=1))
        app.store.endpoints.failed(f"mail bad{n:02}", NOW, "no answer", down=True)
    put(app, "mail good", "sam")
    got = claimed(app, limit=16, doubtful=8)
    assert len(got) == 9
    assert ("mail good", "sam") in got


def test_what_a_retry_after_asks_for_holds_for_all_of_the_endpoint(app: App) -> None:
    put(app, "slack x", "ruth", "sam")
    app.store.endpoints.failed("slack x", NOW, "rate limited", down=True, rest=30)
    assert claimed(app, NOW + timedelta(seconds=29)) == []
    assert claimed(app, NOW + timedelta(seconds=30)) == [("slack x", "ruth")]


# --- the whole way, against servers ----------------------------------------------------------------------------------


@contextmanager
def hanging() -> Iterator[socket.socket]:
    """A server that takes connections and never says a word; when it is closed, they break off."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield listener


@contextmanager
def throttled(answers: list[tuple[int, dict[str, str]]], asked: list[float]) -> Iterator[int]:
    """A webhook that gives the programmed answers (status, headers) in turn, and then 200 "ok"."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(time.monotonic())
            json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers = answers.pop(0) if answers else (200, {})
            self.send_response(status)
            body = b"ok" if status == 200 else b"rate_limited"
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


def readers(**channels: str) -> str:
    alerts = "subscriptions: [{topics: all, alert: {via: [it], at_most: off}}]"
    lines = "".join(f'  {name}: {{channels: {{it: "{url}"}}, {alerts}}}\n' for name, url in channels.items())
    return f"subscribers:\n{lines}"


async def test_a_hanging_server_holds_four_senders_and_delays_nobody_else(tmp_path: Path, mail: MailServer) -> None:
    with hanging() as listener:
        port = listener.getsockname()[1]
        bad = {f"bad{n:02}": f"mailto://127.0.0.1:{port}?to=bad{n}@corvid.example" for n in range(30)}
        good = {f"good{n}": f"mailto://127.0.0.1:{mail.port}?to=good{n}@corvid.example" for n in range(6)}
        pipe = Pipe(tmp_path, START, subscribers=readers(**bad, **good))
        app = pipe.app
        pipe.put("wire", item("1", "Sanctions agreed"))
        try:
            tasks = set(await deliver_due(app))
            while len(mail.mails) < 6:
                _, tasks = await asyncio.wait(tasks, timeout=0.05)
                tasks |= set(await deliver_due(app))
            # All the good ones are through, and the first of the bad ones still wait for an answer.
            assert sum(lane.startswith("bad") for lane in app.sending) == 4
            assert {row.attempts for row in pipe.rows(Delivery) if row.subscriber.startswith("bad")} == {0, 1}
            listener.close()
            await drain(app, tasks)
            (down,) = app.store.endpoints.failing(pipe.time)
            assert (down.key, down.failures) == (f"mail 127.0.0.1:{port}", 4)
            assert len([row for row in pipe.rows(Delivery) if row.attempts]) == 10  # of the other 26 none was tried
        finally:
            await app.close()


async def outage(tmp_path: Path, hours: int) -> None:
    """Nobody listens for hours; then somebody does."""
    port = free_port()
    pipe = Pipe(tmp_path, START, subscribers=readers(ruth=f"mailto://127.0.0.1:{port}?to=ruth@corvid.example"))
    pipe.put("wire", item("1", "Sanctions agreed"))
    tries, longest, last = 0, timedelta(0), pipe.time
    back = pipe.time + timedelta(hours=hours)
    try:
        while pipe.time < back:
            for _ in await drain(pipe.app):
                tries, longest, last = tries + 1, max(longest, pipe.time - last), pipe.time
            pipe.forward(minutes=5)
        (row,) = pipe.deliveries("alert")
        assert (row.state, row.attempts) == ("pending", 1)
        assert tries > 6 * (hours - 1)
        assert longest <= timedelta(minutes=15)
        server = MailServer(port)
        server.start()
        server.replies["RCPT"] = "450 4.7.1 greylisted"
        await drain(pipe.app)
        server.replies.clear()
        pipe.forward(minutes=15)
        await drain(pipe.app)
        server.stop()
        assert [row.state for row in pipe.deliveries("alert")] == ["sent"]
    finally:
        await pipe.app.close()


async def test_a_server_that_was_away_for_hours_gets_what_waited_for_it(tmp_path: Path) -> None:
    await outage(tmp_path, 8)


@pytest.mark.usefixtures("on_postgres")
async def test_the_same_on_postgresql(tmp_path: Path) -> None:
    await outage(tmp_path, 8)


async def test_a_message_that_its_server_puts_off_again_and_again_is_given_up(tmp_path: Path, mail: MailServer) -> None:
    hers = f"mailto://127.0.0.1:{mail.port}?to=ruth@corvid.example"
    pipe = Pipe(tmp_path, START, subscribers=readers(ruth=hers))
    pipe.put("wire", item("1", "Sanctions agreed"))
    mail.replies["RCPT"] = "450 4.2.1 busy"
    try:
        for _ in range(20):
            await drain(pipe.app)
            pipe.forward(hours=1)
        (row,) = pipe.deliveries("alert")
        assert (row.state, row.attempts, row.code) == ("dead", 12, "450")
    finally:
        await pipe.app.close()


async def test_readers_of_one_throttled_webhook_share_its_rest_and_mail_goes_on(
    tmp_path: Path, mail: MailServer
) -> None:
    asked: list[float] = []
    with throttled([(429, {"Retry-After": "40"})], asked) as port:
        hook = f"slack://T1234567A/B1234567A/abcdefghijklmnopqrstuvwx?base=http://127.0.0.1:{port}/services"
        post = f"mailto://127.0.0.1:{mail.port}?to=eve@corvid.example"
        pipe = Pipe(tmp_path, START, subscribers=readers(ruth=hook, sam=hook, eve=post))
        pipe.put("wire", item("1", "Sanctions agreed"))
        try:
            await drain(pipe.app)
            assert (len(asked), len(mail.mails)) == (1, 1)
            assert sorted(row.state for row in pipe.rows(Delivery)) == ["pending", "pending", "sent"]
            pipe.forward(seconds=39)
            await drain(pipe.app)
            assert len(asked) == 1
            pipe.forward(seconds=1)
            await drain(pipe.app)
            pipe.forward(seconds=1)
            await drain(pipe.app)
            assert len(asked) == 3
            assert {row.state for row in pipe.rows(Delivery)} == {"sent"}
        finally:
            await pipe.app.close()


async def test_an_address_that_refuses_three_messages_is_suspended_and_told_of_once(
    tmp_path: Path, mail: MailServer
) -> None:
    monitor = make.MONITOR + f'operators: ["mailto://127.0.0.1:{mail.port}?to=ops@corvid.example"]\n'
    hers = f"mailto://127.0.0.1:{mail.port}?to=gone@corvid.example"
    pipe = Pipe(tmp_path, START, monitor=monitor, subscribers=readers(ruth=hers))
    pipe.put("wire", *(item(str(n), f"Sanctions agreed, part {n}") for n in range(6)))
    mail.refused.add("gone@corvid.example")
    app = pipe.app
    try:
        await drain(app)
        assert sorted(row.state for row in pipe.deliveries("alert")) == ["dead"] * 3 + ["held"] * 3
        subjects = [row.subject for row in pipe.deliveries("notice")]
        assert subjects == ["A message to ruth was given up"] * 2 + ["Nothing is sent to ruth by it any more"]
        assert {row.detail for row in pipe.deliveries("alert") if row.state == "held"} == {
            "the address refuses messages: 550 5.1.1 no such user"
        }
        mail.refused.clear()
        dead = next(row for row in pipe.deliveries("alert") if row.state == "dead")
        assert app.store.outbox.requeue([dead.id or 0], pipe.time, pipe.time + timedelta(days=3)) == [dead.id]
        await drain(app)
        assert sorted(row.state for row in pipe.deliveries("alert")) == ["dead"] * 2 + ["sent"] * 4
        assert app.store.endpoints.suspended() == {}
    finally:
        await app.close()


async def test_another_address_in_the_place_of_a_suspended_one_gets_what_was_held(
    tmp_path: Path, mail: MailServer
) -> None:
    hers = f"mailto://127.0.0.1:{mail.port}?to=gone@corvid.example"
    pipe = Pipe(tmp_path, START, subscribers=readers(ruth=hers))
    pipe.put("wire", *(item(str(n), f"Sanctions agreed, part {n}") for n in range(5)))
    mail.refused.add("gone@corvid.example")
    try:
        await drain(pipe.app)
        pipe.reload(subscribers=readers(ruth=hers.replace("gone", "ruth")))
        await drain(pipe.app)
        assert [one.rcpt_tos for one in mail.mails] == [["ruth@corvid.example"]] * 2
    finally:
        await pipe.app.close()


async def test_one_message_taken_in_between_keeps_an_address(tmp_path: Path, mail: MailServer) -> None:
    hers = f"mailto://127.0.0.1:{mail.port}?to=gone@corvid.example"
    pipe = Pipe(tmp_path, START, subscribers=readers(ruth=hers))
    try:
        for number, refused in enumerate((True, True, False, True, True)):
            (mail.refused.add if refused else mail.refused.discard)("gone@corvid.example")
            pipe.put("wire", item(str(number), f"Sanctions agreed, part {number}"))
            await drain(pipe.app)
        assert pipe.app.store.endpoints.suspended() == {}
    finally:
        await pipe.app.close()


@pytest.mark.parametrize(("choice", "state"), [("resend", "pending"), ("hold", "held")])
async def test_a_webhook_that_may_have_taken_a_message_gets_it_again_or_a_person_decides(
    tmp_path: Path, choice: str, state: str
) -> None:
    with hanging() as listener:
        port = listener.getsockname()[1]
        hook = f"slack://T1234567A/B1234567A/abcdefghijklmnopqrstuvwx?base=http://127.0.0.1:{port}/services"
        pipe = Pipe(tmp_path, START, monitor=f"{make.MONITOR}on_unknown: {choice}\n", subscribers=readers(ruth=hook))
        pipe.put("wire", item("1", "Sanctions agreed"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("monitor.send.slack.HTTP_TIMEOUT", (1.0, 0.3))
            try:
                (done,) = await drain(pipe.app)
                assert done.outcome.kind == "unknown"
                (row,) = pipe.rows(Delivery)
                assert (row.state, row.maybe_dup) == (state, 1)
            finally:
                await pipe.app.close()


async def test_an_answer_that_cannot_be_recorded_is_tried_again_and_not_sent_twice(
    tmp_path: Path, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hers = f"mailto://127.0.0.1:{mail.port}?to=ruth@corvid.example"
    pipe = Pipe(tmp_path, START, subscribers=readers(ruth=hers))
    pipe.put("wire", item("1", "Sanctions agreed"))
    finish, fails = pipe.app.store.outbox.finish, [True, True]

    def full_disk(*args: Any) -> bool:
        if fails and fails.pop():
            raise StoreError("database or disk is full")
        return finish(*args)

    monkeypatch.setattr(pipe.app.store.outbox, "finish", full_disk)
    try:
        await drain(pipe.app)
        assert [row.state for row in pipe.rows(Delivery)] == ["sent"]
        assert len(mail.mails) == 1
    finally:
        await pipe.app.close()


def test_a_store_of_before_endpoints_gets_them_at_the_first_look(app: App) -> None:
    put(app, "", "ruth")
    changed = app.store.outbox.readdress(lambda _kind, subscriber, _channel: (f"mail {subscriber}", "r"), NOW)
    assert changed == 1
    assert claimed(app) == [("mail ruth", "ruth")]

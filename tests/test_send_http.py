"""Services over HTTP that answer slowly, without end, or with a time to wait: nobody holds a sender for ever."""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from monitor.models import Delivery
from monitor.pipeline.deliver import drain
from monitor.render import PlainMessage, SlackMessage
from monitor.send import Outcome, Sender, http
from monitor.send.outcome import wait
from tests.make import NOW
from tests.pipe import START, Pipe, item
from tests.servers import WebServer, dripping
from tests.services import STOCK, World, address, servers, world
from tests.tls import Authority

__all__ = ["servers", "world"]  # fixtures

PLAIN = PlainMessage("A title", "A body")
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/s3crets3crets3crets3cret?base={}/services"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n"


def sent_to(name: str, port: int) -> Outcome:
    if name == "slack":
        return Sender().send(SLACK.format(f"http://127.0.0.1:{port}"), SlackMessage("x", ()), "a@b", NOW)
    return Sender().send(f"{name}://127.0.0.1:{port}/s3cret", PLAIN, "a@b", NOW)


@pytest.mark.parametrize(
    ("name", "begin", "kind"),
    [
        ("json", b"", "unknown"),
        ("json", b"HTTP/1.1 2", "unknown"),
        ("json", HEAD, "sent"),  # its first line says that it was taken
        ("json", HEAD + b"\r\n", "sent"),
        ("json", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8000\r\n", "sent"),
        ("json", HEAD.replace(b"200 OK", b"503 Busy") + b"\r\n", "retry"),
        ("slack", b"", "unknown"),
        ("slack", HEAD, "unknown"),
        ("slack", HEAD + b"\r\n", "unknown"),  # only the text would say it
        ("slack", HEAD.replace(b"200 OK", b"503 Busy") + b"\r\n", "retry"),
    ],
)
def test_a_service_that_drips_its_answer_does_not_hold_a_sender_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, begin: bytes, kind: str
) -> None:
    monkeypatch.setattr(http, "PATIENCE", 0.5)
    caplog.set_level(logging.DEBUG)
    with dripping(begin, asked=True) as port:
        begun = time.monotonic()
        outcome = sent_to(name, port)
        assert time.monotonic() - begun < 20  # without a limit it would never end
    assert outcome.kind == kind
    assert "s3cret" not in caplog.text + repr(outcome)


def test_one_that_drips_over_tls_is_cut_off_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority, over = Authority(tmp_path), threading.Event()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.trust))
    monkeypatch.setattr(http, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            raw = listener.accept()[0]
            with suppress(OSError), authority.server_context("127.0.0.1").wrap_socket(raw, server_side=True) as secure:
                secure.recv(65_536)
                while not over.wait(0.05):
                    secure.sendall(b"x")

        thread = threading.Thread(target=talk)
        thread.start()
        try:
            assert sent_to("jsons", listener.getsockname()[1]).kind == "unknown"
        finally:
            over.set()
            thread.join(10)


def test_an_answer_without_end_is_read_in_part_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_BYTES", 1_000)
    web = WebServer(lambda _: (200, {}, b"x" * 5_000_000))
    try:
        http.listen()
        answer = requests.post(f"http://127.0.0.1:{web.port}/", data=b"{}", timeout=10)
        assert (len(answer.content), [status for status, _ in http.heard()]) == (1_000, [200])
        assert sent_to("json", web.port) == Outcome("sent", "200", "taken, as Apprise reports")
    finally:
        web.close()


@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize("status", [429, 503])
def test_the_retry_after_of_any_service_is_kept_to(world: World, name: str, status: int) -> None:
    world.says(lambda _: (status, {"Retry-After": "600"}, b"slow down"))
    outcome = Sender().send(address(world, name), PLAIN, "a@b", NOW)
    assert (outcome.kind, outcome.code, outcome.retry_after) == ("retry", str(status), 600.0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30.0),
        ({"Retry-After": "Wed, 25 Nov 2026 09:10:00 GMT", "Date": "Wed, 25 Nov 2026 09:00:00 GMT"}, 600.0),
        ({"Retry-After": "Wed, 25 Nov 2026 08:00:00 GMT", "Date": "Wed, 25 Nov 2026 09:00:00 GMT"}, 0.0),
        ({"Retry-After": "Wed, 25 Nov 2026 09:10:00 GMT"}, None),
        ({"Retry-After": "Wed, 25 Nov 2026 09:10:00 -0000", "Date": "Wed, 25 Nov 2026 09:00:00 GMT"}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_a_time_to_wait_is_one_of_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert wait(headers) == seconds


async def test_a_webhook_that_asks_for_ten_minutes_gets_them(tmp_path: Path) -> None:
    web = WebServer(lambda _: (429, {"Retry-After": "600"}, b"slow down"))
    hook = f"json://127.0.0.1:{web.port}/x"
    subscribers = f"""
subscribers:
  ruth: {{channels: {{it: "{hook}"}}, subscriptions: [{{topics: all, alert: {{via: [it]}}}}]}}
"""
    pipe = Pipe(tmp_path, START, subscribers=subscribers)
    pipe.put("wire", item("1", "Sanctions agreed"))
    try:
        await drain(pipe.app)
        assert [row.next_attempt_at for row in pipe.rows(Delivery)] == [START + timedelta(minutes=10)]
        pipe.forward(minutes=9)
        await drain(pipe.app)
        assert len(web.asked) == 1
    finally:
        await pipe.app.close()
        web.close()


def test_a_compatible_server_takes_a_message_in_its_own_words() -> None:
    web = WebServer(lambda _: (200, {}, b'{"success":true}'))  # Rocket.Chat's
    try:
        assert sent_to("slack", web.port).kind == "sent"
    finally:
        web.close()

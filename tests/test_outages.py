"""The operators hear of a server that takes nothing for long, and of its return: once each, and by another way."""

from __future__ import annotations

import email
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.policy import default
from pathlib import Path

import pytest

from monitor.app import App
from monitor.models import Delivery
from monitor.pipeline.deliver import drain
from monitor.pipeline.outages import tell_of_outages
from tests import make
from tests.pipe import START, Pipe, item
from tests.servers import MailServer

SUBSCRIBERS = """
subscribers:
  ruth:
    channels: {{mail: "mailto://127.0.0.1:{port}?to=ruth@corvid.example"}}
    subscriptions: [{{topics: all, alert: {{via: [mail], at_most: off}}}}]
"""
DOWN, OTHER = "mail a.corvid.example:25", "mail b.corvid.example:25"
TWO = 'operators: ["mailto://a.corvid.example:25?to=o@x.example", "mailto://b.corvid.example:25?to=o@x.example"]\n'


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


def subjects(mail: MailServer) -> list[str]:
    messages = [email.message_from_bytes(one.content, policy=default) for one in mail.mails]
    return [str(message["Subject"]).removeprefix("News Monitor: ") for message in messages]


async def test_a_dead_server_is_told_of_once_by_another_and_once_when_it_is_back(
    tmp_path: Path, mail: MailServer
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        dead = probe.getsockname()[1]
    ways = ", ".join(f'"mailto://127.0.0.1:{port}?to=ops@corvid.example"' for port in (dead, mail.port))
    monitor = f"{make.MONITOR}operators: [{ways}]\n"
    pipe = Pipe(tmp_path, START, monitor=monitor, subscribers=SUBSCRIBERS.format(port=dead))
    pipe.put("wire", item("1", "Sanctions agreed"))
    server = MailServer(dead)
    try:
        for _ in range(30):
            await drain(pipe.app)
            pipe.forward(seconds=40)
        assert subjects(mail) == [f"Nothing goes by mail 127.0.0.1:{dead}"]
        assert b"ruth by mail and the operators" in mail.mails[0].content.replace(b"=\r\n", b"")
        server.start()
        for _ in range(30):
            await drain(pipe.app)
            pipe.forward(minutes=6)
        assert subjects(mail)[1:] == [f"Messages go by mail 127.0.0.1:{dead} again"]
        # What is there again hears of that too, and of nothing that it was not told.
        assert subjects(server)[1:] == subjects(mail)[1:]
        assert [one.rcpt_tos for one in server.mails] == [["ruth@corvid.example"], ["ops@corvid.example"]]
    finally:
        await pipe.app.close()
        if server.mails:
            server.stop()


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    opened = Pipe(tmp_path, START, monitor=make.MONITOR + TWO)
    yield opened
    opened.close()


def fail(app: App, key: str, now: datetime, times: int = 3) -> None:
    for _ in range(times):
        app.store.endpoints.failed(key, now, "no answer", down=True)


def told(pipe: Pipe) -> list[tuple[str, str]]:
    return [(row.endpoint, row.subject) for row in pipe.rows(Delivery)]


def look(pipe: Pipe, minutes: float) -> list[tuple[str, str]]:
    pipe.time = START + timedelta(minutes=minutes)
    tell_of_outages(pipe.app, pipe.time)
    return told(pipe)


def test_a_short_outage_and_single_failures_are_told_to_nobody(pipe: Pipe) -> None:
    fail(pipe.app, DOWN, START)
    fail(pipe.app, OTHER, START, times=2)
    assert look(pipe, 9.9) == []
    pipe.app.store.endpoints.answered(DOWN, pipe.time)
    assert look(pipe, 60) == []


def test_what_goes_down_together_is_one_message_to_each_operator_where_no_way_is_left(pipe: Pipe) -> None:
    fail(pipe.app, DOWN, START)
    fail(pipe.app, OTHER, START + timedelta(minutes=4))
    both = [(key, "Nothing goes by 2 servers or services") for key in (DOWN, OTHER)]
    assert look(pipe, 10) == both
    assert look(pipe, 600) == both


def test_one_that_asked_for_a_long_rest_is_told_of(pipe: Pipe) -> None:
    pipe.app.store.endpoints.failed(DOWN, START, "rate limited", down=True, rest=3600)
    assert look(pipe, 10) == [(OTHER, f"Nothing goes by {DOWN}")]


def test_one_that_comes_and_goes_is_told_of_once_and_back_when_it_stays(pipe: Pipe) -> None:
    fail(pipe.app, DOWN, START)
    assert len(look(pipe, 10)) == 1
    for minute in range(11, 60, 4):
        pipe.app.store.endpoints.answered(DOWN, START + timedelta(minutes=minute))
        assert len(look(pipe, minute + 3)) == 1
        fail(pipe.app, DOWN, pipe.time)
    pipe.app.store.endpoints.answered(DOWN, START + timedelta(minutes=60))
    assert look(pipe, 65)[1:] == [(key, f"Messages go by {DOWN} again") for key in (DOWN, OTHER)]
    fail(pipe.app, DOWN, pipe.time)
    assert len(look(pipe, 80)) == 4  # it is another outage


async def test_an_endpoint_that_no_channel_leads_to_is_forgotten(pipe: Pipe) -> None:
    fail(pipe.app, "mail gone.corvid.example:25", START)
    fail(pipe.app, DOWN, START)
    await drain(pipe.app)
    assert [row.key for row in pipe.app.store.endpoints.failing(START)] == [DOWN]

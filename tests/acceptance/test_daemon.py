"""The daemon's stop, start and reload, as a process of its own."""

from __future__ import annotations

import email
import socket
import threading
import time
from collections.abc import Iterator
from email.policy import default
from pathlib import Path

import pytest

from tests import make
from tests.acceptance.daemon import DaemonProcess, running, wait_for
from tests.fakes import Answer, FeedServer
from tests.servers import MailServer

pytestmark = pytest.mark.acceptance

SUBSCRIBERS = """
subscribers:
  ruth:
    channels: {{mail: "mailto://127.0.0.1:{port}?to=ruth@corvid.example"}}
    subscriptions: [{{topics: all, alert: {{via: [mail]}}}}]
"""


@pytest.fixture
def silent() -> Iterator[int]:
    """A mail server that takes connections and never says a word; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                kept.append(listener.accept()[0])
            except OSError:  # closed
                return

    thread = threading.Thread(target=accept)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)
    for connection in kept:
        connection.close()


@pytest.fixture
def feed() -> Iterator[str]:
    with FeedServer() as server:
        url = server.route("/feed.xml", Answer(make.rss(("1", "Sanctions agreed by the council"))))
        yield f"feeds:\n  wire: {{url: '{url}', source: Wire, every: 1s, first_poll: alert}}\n"


def test_a_stop_takes_less_than_ten_seconds_whatever_a_mail_server_does(tmp_path: Path, feed: str, silent: int) -> None:
    config = make.write_config(tmp_path / "config", feeds=feed, subscribers=SUBSCRIBERS.format(port=silent))
    process = DaemonProcess(config, tmp_path / "data")
    with running(process):
        wait_for(lambda: "1 alerts" in process.log, 30, "the alert to be made")
        time.sleep(1)
        began = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - began < 10


def test_a_start_on_bad_files_tells_the_operators(tmp_path: Path, feed: str) -> None:
    mail = MailServer()
    mail.start()
    try:
        monitor = make.MONITOR + f'operators: ["mailto://127.0.0.1:{mail.port}?to=ops@corvid.example"]\n'
        config = make.write_config(tmp_path / "config", feeds=feed, monitor=monitor)
        process = DaemonProcess(config, tmp_path / "data")
        with running(process):
            wait_for(lambda: "1 feeds" in process.log, 30, "the first start")
            process.stop()
            (config / "topics.yaml").write_text(make.TOPICS.replace("any:", "anny:"), encoding="utf-8")
            process.start()
            wait_for(lambda: mail.mails, 30, "the notice")
            message = email.message_from_bytes(mail.mails[0].content, policy=default)
            text = message.get_body(("plain",))
            assert text is not None
            assert "unknown key `anny`" in text.get_content().replace("\n", " ")
            assert "last good configuration" in text.get_content().replace("\n", " ")
    finally:
        mail.stop()


@pytest.mark.parametrize("data", ["/proc/nowhere", "file"])
def test_a_data_folder_that_cannot_be_used_is_said(tmp_path: Path, feed: str, data: str) -> None:
    (tmp_path / "file").write_text("no folder")
    config = make.write_config(tmp_path / "config", feeds=feed)
    process = DaemonProcess(config, tmp_path / data if data == "file" else Path(data))
    found = process.command("run", "--once")
    assert (found.returncode, found.stdout) == (3, "")
    assert "the data folder" in found.stderr
    assert "Traceback" not in found.stderr

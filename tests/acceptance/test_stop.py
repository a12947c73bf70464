"""The daemon as a process: when it ends, and what it has on record by then."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import make
from tests.acceptance.daemon import DaemonProcess, database, running, wait_for
from tests.fakes import Answer, FeedServer


class SlowMail:
    """A mail server that takes a message `delay` seconds after its end, or never says a word."""

    def __init__(self, delay: float | None) -> None:
        self.delay, self.taken, self.waiting = delay, 0, threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._open: list[socket.socket] = []

    @contextmanager
    def running(self) -> Iterator[SlowMail]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._socket.shutdown(socket.SHUT_RDWR)
            for connection in self._open:
                connection.close()
            thread.join(15)
            self._socket.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed by the test
                return
            self._open.append(connection)
            if self.delay is None:
                self.waiting.set()
            else:
                self._take(connection, self.delay)

    def _take(self, connection: socket.socket, delay: float) -> None:
        try:
            with connection, connection.makefile("rwb", buffering=0) as lines:
                lines.write(b"220 slow\r\n")
                while line := lines.readline():
                    if line.upper().startswith(b"DATA"):
                        lines.write(b"354 go on\r\n")
                        while lines.readline().rstrip(b"\r\n") != b".":
                            pass
                        self.taken += 1
                        self.waiting.set()
                        time.sleep(delay)
                    lines.write(b"250 OK\r\n")
        except OSError:  # the daemon hung up
            return


@contextmanager
def daemon(folder: Path, mail: SlowMail) -> Iterator[DaemonProcess]:
    with FeedServer() as server:
        url = server.route("/feed.xml", Answer(make.rss(("a", "New sanctions"))))
        config = make.write_config(
            folder / "config",
            feeds=f"feeds:\n  wire: {{url: '{url}', every: 1h, first_poll: alert}}\n",
            subscribers=make.SUBSCRIBERS.replace("2525", str(mail.port)),
        )
        with running(DaemonProcess(config, folder / "data")) as process:
            yield process


@pytest.mark.timeout(60)
def test_a_mail_server_that_never_answers_does_not_hold_the_program(tmp_path: Path) -> None:
    with SlowMail(None).running() as mail, daemon(tmp_path, mail) as process:
        assert mail.waiting.wait(20)
        assert process.stop(within=10) == 0


@pytest.mark.timeout(60)
def test_a_message_that_is_taken_while_the_program_stops_is_on_record_and_goes_once(tmp_path: Path) -> None:
    with SlowMail(3).running() as mail, daemon(tmp_path, mail) as process:
        assert mail.waiting.wait(20)
        assert process.stop(within=10) == 0
        with database(process.data) as store:
            assert store.outbox.counts() == {"sent": 1}
        process.start()
        wait_for(lambda: process.log.count("News Monitor ") == 2, 20, "the second start")
        time.sleep(2)
        assert mail.taken == 1

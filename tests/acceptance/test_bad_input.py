"""Bad input: each kind gets a clear message, and the rest goes on."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from monitor.models import FeedState
from tests import make
from tests.acceptance.daemon import DaemonProcess, database, running, wait_for
from tests.servers import MailServer

SUBSCRIBERS = """
subscribers:
  ruth:
    channels: {{mail: "mailto://127.0.0.1:{port}?to=ruth@corvid.example"}}
    subscriptions: [{{topics: all, alert: {{via: [mail]}}}}]
"""
BIG = make.rss(*((f"big-{n}", f"Ordinary headline {n}|{'filler words ' * 60}") for n in range(6000)))


class Web:
    """An HTTP server whose documents a test sets."""

    def __init__(self) -> None:
        self.documents: dict[str, tuple[str, bytes]] = {}
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content_type, body = pages.documents[self.path]
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def rss(self, path: str, *items: tuple[str, str]) -> None:
        self.documents[path] = ("application/rss+xml", make.rss(*items))

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    server.rss("/good.xml", ("a", "New sanctions on the shipping line"))
    yield server
    server.close()


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def good_feed(web: Web, **more: str) -> str:
    feeds = {"good": f"{web.url}/good.xml", **more}
    return "feeds:\n" + "".join(
        f"  {name}: {{url: '{url}', source: {name}, every: 1s, first_poll: alert}}\n" for name, url in feeds.items()
    )


def states(data: Path) -> dict[str, FeedState]:
    if not (data / "monitor.db").exists():
        return {}
    with database(data) as store:
        return store.feeds.states() if store.ready() else {}


@pytest.mark.acceptance
def test_bad_feeds_say_what_is_wrong_and_the_good_one_alerts(tmp_path: Path, web: Web, mail: MailServer) -> None:
    web.documents["/page"] = (
        "text/html",
        b"<!doctype html><html><head><title>News</title><link rel='alternate' type='application/rss+xml'"
        b" href='/real.xml'></head><body><p>Welcome</p></body></html>",
    )
    web.documents["/empty"] = ("application/rss+xml", b"")
    web.documents["/big"] = ("application/rss+xml", BIG)
    assert len(BIG) > 5_000_000
    feeds = good_feed(
        web,
        unreachable=f"http://127.0.0.1:{free_port()}/feed.xml",
        page=f"{web.url}/page",
        empty=f"{web.url}/empty",
        big=f"{web.url}/big",
        private="http://10.11.12.13/feed.xml",
    )
    config = make.write_config(tmp_path / "config", feeds=feeds, subscribers=SUBSCRIBERS.format(port=mail.port))
    process = DaemonProcess(config, tmp_path / "data")
    with running(process):
        wait_for(lambda: len(mail.mails) == 1, 60, "the good feed's alert")
        wait_for(
            lambda: len(states(process.data)) == 6 and all(s.polled_at for s in states(process.data).values()),
            90,
            "all feeds to be polled",
        )
        assert process.alive
        found = states(process.data)
        assert process.stop() == 0
    wrong = {name: state.error or "" for name, state in found.items()}
    assert wrong["good"] == ""
    assert "refused" in wrong["unreachable"]
    assert "web page, not a feed" in wrong["page"]
    assert "/real.xml" in wrong["page"]
    assert "empty" in wrong["empty"]
    assert "allow_private" in wrong["private"]
    assert wrong["big"] == ""
    assert found["big"].stories >= 5000
    shown = json.loads(process.command("feeds", "--json").stdout)
    assert {feed["name"]: feed["error"] for feed in shown} == wrong
    status = process.command("status").stdout
    assert "4 cannot be read: empty, page, private, unreachable" in status


@pytest.mark.acceptance
def test_a_dead_mail_server_delays_only_its_own_messages(tmp_path: Path, web: Web, mail: MailServer) -> None:
    dead = free_port()
    subscribers = SUBSCRIBERS.format(port=mail.port) + (
        "  omar:\n"
        f"    channels: {{mail: 'mailto://127.0.0.1:{dead}?to=omar@corvid.example'}}\n"
        "    subscriptions: [{topics: all, alert: {via: [mail]}}]\n"
    )
    config = make.write_config(tmp_path / "config", feeds=good_feed(web), subscribers=subscribers)
    process = DaemonProcess(config, tmp_path / "data")
    with running(process):
        wait_for(lambda: len(mail.mails) == 1, 60, "the alert to the server that lives")
        wait_for(lambda: "Connection refused" in process.log, 30, "the other server's refusal")
        waiting = json.loads(process.command("deliveries", "--state", "pending", "--json").stdout)
        assert [(row["subscriber"], row["attempts"] >= 1) for row in waiting] == [("omar", True)]
        assert "Connection refused" in waiting[0]["detail"]
        # The server comes back: the very message arrives.
        back = MailServer(dead)
        back.start()
        try:
            # Refused while the daemon is just trying by itself, which fails, or succeeds by now.
            wait_for(
                lambda: process.command("retry", str(waiting[0]["id"])).returncode == 0 or back.mails, 30, "the retry"
            )
            wait_for(lambda: len(back.mails) == 1, 30, "the alert to the server that came back")
        finally:
            back.stop()
        assert waiting[0]["message_id"] in back.mails[0].content.decode()
    assert len(mail.mails) == 1


@pytest.mark.acceptance
def test_broken_yaml_keeps_the_last_good_rules_running_and_says_where(
    tmp_path: Path, web: Web, mail: MailServer
) -> None:
    config = make.write_config(
        tmp_path / "config", feeds=good_feed(web), subscribers=SUBSCRIBERS.format(port=mail.port)
    )
    process = DaemonProcess(config, tmp_path / "data")
    topics = config / "topics.yaml"
    with running(process):
        wait_for(lambda: len(mail.mails) == 1, 60, "the first alert")
        topics.write_text(make.TOPICS.replace("severity: high", "severty: high"), encoding="utf-8")
        wait_for(lambda: "unknown key `severty`" in process.log, 15, "the mistake to be logged")
        assert "did you mean `severity`?" in process.log
        web.rss("/good.xml", ("a", "New sanctions on the shipping line"), ("b", "Embargo on grain announced today"))
        wait_for(lambda: len(mail.mails) == 2, 30, "an alert by the last good rules")
        status = process.command("status").stdout
        assert "BAD since" in status
        assert "topics.yaml:8:5: error: unknown key `severty`" in status
        process.kill()
        # A start on the bad files runs on the last good configuration, and says so.
        process.start()
        web.rss("/good.xml", ("c", "Sanctions lifted on the northern ports"))
        wait_for(lambda: len(mail.mails) == 3, 60, "an alert after a restart")
        assert "Running on the last good configuration" in process.log
        # Mended, it is loaded within seconds.
        mended = make.TOPICS.replace("any: [sanction*, embargo]", "any: [sanction*, embargo, blockade]")
        topics.write_text(mended, encoding="utf-8")
        wait_for(lambda: "loaded anew" in process.log, 15, "the mended files to be loaded")
        web.rss("/good.xml", ("d", "A blockade of the river begins now"))
        wait_for(lambda: len(mail.mails) == 4, 30, "an alert by the new rule")
        assert "Configuration: good" in process.command("status").stdout


@pytest.mark.acceptance
def test_broken_yaml_without_a_last_good_configuration_ends_with_the_problems(tmp_path: Path) -> None:
    config = make.write_config(tmp_path / "config", topics="topics: [unclosed\n")
    process = DaemonProcess(config, tmp_path / "data")
    found = process.command("run", "--once")
    assert found.returncode == 1
    assert "topics.yaml:" in found.stderr


def check(folder: Path, tmp_path: Path) -> tuple[int, dict[str, Any]]:
    found = DaemonProcess(folder, tmp_path / "data").command("check", "--json")
    report: dict[str, Any] = json.loads(found.stdout)
    return found.returncode, report


@pytest.mark.acceptance
def test_an_unknown_topic_in_a_subscription_is_an_error_at_its_place(tmp_path: Path) -> None:
    subscribers = make.SUBSCRIBERS.replace("topics: all", "topics: [sanctoins]")
    code, report = check(make.write_config(tmp_path / "config", subscribers=subscribers), tmp_path)
    assert code == 1
    assert report["ok"] is False
    (problem,) = report["problems"]
    assert problem["file"].endswith("subscribers.yaml")
    assert (problem["level"], problem["line"], problem["column"]) == ("error", 9, 19)
    assert "sanctoins" in problem["message"]
    assert "sanctions" in problem["message"] + problem["fix"]


@pytest.mark.acceptance
def test_an_invalid_apprise_address_is_an_error_at_its_place_without_its_secret(tmp_path: Path) -> None:
    subscribers = make.SUBSCRIBERS.replace(
        "mailto://127.0.0.1:2525?to=ruth@corvid.example", "pigeon://user:hunter2222@coop/token"
    )
    code, report = check(make.write_config(tmp_path / "config", subscribers=subscribers), tmp_path)
    assert code == 1
    (problem,) = report["problems"]
    assert problem["file"].endswith("subscribers.yaml")
    assert (problem["line"], problem["column"]) == (6, 22)
    assert "Apprise knows no service `pigeon://`" in problem["message"]
    assert "hunter2222" not in json.dumps(report)

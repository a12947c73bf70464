"""The files are edited under a running daemon: what is good counts within ten seconds, what is bad changes nothing."""

from __future__ import annotations

import email
import re
import time
from collections.abc import Iterator
from email.policy import default
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests import make
from tests.acceptance.daemon import DaemonProcess, running, wait_for
from tests.fakes import Answer, FeedServer, free_port
from tests.servers import MailServer, Received

pytestmark = pytest.mark.acceptance

WITHIN = 10.0  # seconds that an edit may take to count (CONTRACT.md names none; this is what operators are promised)
STARTED = 150.0  # seconds that a start may take on a machine with much else to do
FIRST = [("1", "Sanctions agreed by the council"), ("2", "Grain is loaded at the old quay")]
SUBSCRIBERS = """
subscribers:
  ruth:
    channels: {{mail: "mailto://127.0.0.1:{port}?to=ruth@corvid.example"}}
    subscriptions: [{{topics: all, alert: {{via: [mail], wait: {wait}}}}}]
"""


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def feed() -> Iterator[FeedServer]:
    with FeedServer() as server:
        server.route("/feed.xml", Answer(make.rss(*FIRST)))
        yield server


class Site:
    """A daemon with one feed, one reader and one operator, who is reached by mail too."""

    def __init__(self, folder: Path, feed: FeedServer, mail: MailServer) -> None:
        self.feed, self.mail, self.port = feed, mail, free_port()
        monitor = make.MONITOR.replace("web: off", f"web: {{host: 127.0.0.1, port: {self.port}}}")
        self.config = make.write_config(
            folder / "config",
            monitor=monitor + f'operators: ["mailto://127.0.0.1:{mail.port}?to=ops@corvid.example"]\n',
            feeds=f"feeds:\n  wire: {{url: '{feed.url()}', source: Wire, every: 1s, first_poll: alert}}\n",
            subscribers=SUBSCRIBERS.format(port=mail.port, wait="0s"),
        )
        self.process = DaemonProcess(self.config, folder / "data")

    def edit(self, name: str, text: str) -> float:
        """Write a file anew; return when."""
        (self.config / name).write_text(text, encoding="utf-8")
        return time.monotonic()

    def publish(self, *more: tuple[str, str]) -> None:
        """Have the feed bring further stories."""
        self.feed.route("/feed.xml", Answer(make.rss(*more, *FIRST)))

    def told(self, who: str) -> list[str]:
        """The subjects of the mails that somebody got."""
        return [subject(one) for one in self.mail.mails if f"{who}@corvid.example" in one.rcpt_tos]

    def read(self, who: str) -> str:
        """The plain texts of the mails that somebody got, on one line."""
        mails = [one for one in self.mail.mails if f"{who}@corvid.example" in one.rcpt_tos]
        texts = [email.message_from_bytes(one.content, policy=default).get_body(("plain",)) for one in mails]
        return " ".join(" ".join(text.get_content().split()) for text in texts if text is not None)

    def page(self, path: str = "/") -> str:
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return str(answer.read().decode())


def subject(one: Received) -> str:
    return str(email.message_from_bytes(one.content, policy=default)["Subject"])


@pytest.fixture
def site(tmp_path: Path, feed: FeedServer, mail: MailServer) -> Site:
    return Site(tmp_path, feed, mail)


def test_an_edit_counts_at_once_replays_nothing_and_drops_nothing(site: Site) -> None:
    site.edit("subscribers.yaml", SUBSCRIBERS.format(port=site.mail.port, wait="12s"))
    with running(site.process) as process:
        wait_for(lambda: "1 alerts" in process.log, STARTED, "the first story's alert to be made")
        assert site.told("ruth") == []  # it waits for others
        began = site.edit("topics.yaml", make.TOPICS + "  grain:\n    title: Grain\n    any: [grain]\n")
        wait_for(lambda: "loaded anew" in process.log, WITHIN, "the edit to count")
        assert time.monotonic() - began < WITHIN
        site.publish(("3", "Grain is sold at the new quay"))
        wait_for(lambda: "new quay" in site.read("ruth"), 60, "the new topic's alert")
        wait_for(lambda: "agreed by the council" in site.read("ruth"), 5, "what waited all the while")
        assert "old quay" not in site.read("ruth")  # it was there before the topic was
        assert process.alive
        assert process.log.count("News Monitor ") == 1  # it was not started anew


BAD = make.TOPICS.replace("any: [sanction*, embargo]", "query: 'sanction* NEAR embargo'")


def test_a_mistake_keeps_the_last_good_rules_and_is_told_everywhere_once(site: Site) -> None:
    with running(site.process) as process:
        wait_for(lambda: site.told("ruth"), STARTED, "the first alert")
        assert "\nmonitor_config_ok 1\n" in site.page("/metrics")
        began = site.edit("topics.yaml", BAD)
        wait_for(lambda: "\nmonitor_config_ok 0\n" in site.page("/metrics"), WITHIN, "the metric to tell")
        assert time.monotonic() - began < WITHIN

        page = site.page()
        for said in ("topics.yaml line 5", "NEAR needs a distance", "NEAR/"):  # place, mistake and fix
            assert said in page, said
        status = " ".join(process.command("status").stdout.split())
        for said in ("topics.yaml:5:", "NEAR needs a distance", "write NEAR/"):
            assert said in status, status

        site.edit("topics.yaml", BAD + "# another look at it\n")  # the same mistake, saved once more
        site.publish(("3", "Sanctions widened in a night session"))
        wait_for(lambda: any("widened" in one for one in site.told("ruth")), 30, "the last good rules to go on")
        wait_for(lambda: site.told("ops"), 30, "the operators' mail")
        wait_for(lambda: process.log.count("was not loaded") == 2, WITHIN, "the second look")
        time.sleep(3)
        assert len(site.told("ops")) == 1
        told = site.read("ops")
        assert "topics.yaml:5:" in "".join(told.split())  # a long path is broken across lines
        assert "NEAR needs a distance" in told
        assert re.search(r"goes on running, since \d{4}-\d\d-\d\d \d\d:\d\d UTC\.", told)

        site.edit("topics.yaml", make.TOPICS)
        wait_for(lambda: "\nmonitor_config_ok 1\n" in site.page("/metrics"), WITHIN, "the mended files to count")
        assert "NEAR needs a distance" not in site.page()
        assert process.alive

"""The hostile headlines of the shared data at every channel, as alerts and in digests: none pings, forges or breaks."""

from __future__ import annotations

import email
import json
from collections.abc import Iterator
from datetime import timedelta
from email.policy import default
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from monitor.dispatch import Alert, Digest, DigestSection, StoryView, TopicRef
from monitor.send import Outcome, Sender
from tests.make import NOW
from tests.servers import MailServer
from tests.services import (
    LINKS,
    LIVE,
    READER,
    RENDERER,
    SITE,
    SLACK,
    SLACK_BOT,
    STOCK,
    Tags,
    World,
    address,
    alert,
    assert_inert,
    servers,
    story,
    texts,
    world,
)

__all__ = ["servers", "world"]  # fixtures

LISTS = (
    "slack_chat_injection/titles.json",
    "email_injection/titles.json",
    "naughty_strings/blns.json",
    "xss/own_vectors.json",
    "ssti_jinja2/titles_that_look_like_templates.json",
    "unicode/titles.json",
)
SHOWN = 5  # stories of a topic in a digest
HEADERS = {
    "subject", "from", "to", "date", "message-id", "mime-version", "content-type", "list-id", "list-unsubscribe",
    "list-unsubscribe-post", "auto-submitted", "x-auto-response-suppress", "references", "in-reply-to",
}  # fmt: skip


@pytest.fixture(scope="module")
def titles(shared_data: Path) -> list[str]:
    found: dict[str, None] = {}
    for name in LISTS:
        read = json.loads((shared_data / "hostile" / name).read_text())
        found |= dict.fromkeys(read.values() if isinstance(read, dict) else read)
    return [title for title in found if isinstance(title, str)]


def hostile(title: str) -> StoryView:
    return story(title, snippet=f"Before. {title} After.", source=title[:60])


def values(titles: list[str]) -> Iterator[Alert | Digest]:
    """An alert of every third headline, and digests of them all."""
    for title in titles[::3]:
        yield alert(hostile(title))
    topic = TopicRef("border", "Border deployments", "high")
    for start in range(0, len(titles), SHOWN):
        stories = tuple(hostile(title) for title in titles[start : start + SHOWN])
        section = DigestSection(topic, stories, len(stories), 0)
        yield Digest("ines", "desk", NOW - timedelta(days=1), NOW, "2026-11-25", (section,))


def send(sender: Sender, url: str, value: Alert | Digest) -> Outcome:
    match sender.kind(url):
        case "mail":
            message: Any = RENDERER.mail(value, READER, SITE, LINKS, NOW)
        case "slack":
            message = RENDERER.slack(value, READER, SITE, LINKS, NOW)
        case _:
            message = RENDERER.plain(value, READER, SITE, LINKS, NOW, sender.room(url))
    return sender.send(url, message, "a@b", NOW)


@pytest.mark.parametrize("name", STOCK)
def test_no_service_is_pinged_forged_or_broken(world: World, titles: list[str], name: str) -> None:
    sender, url = Sender(), address(world, name)
    for value in values(titles):
        world.forget()
        assert send(sender, url, value).kind == "sent", value
        assert world.asked
        for asked in world.asked:
            assert "filename=" not in asked.path  # a message, and no file
            assert "allowed_mentions" not in asked.fields
            for text in texts(asked):
                if name == "telegram" and text == asked.fields["text"]:
                    assert set(Tags(text).found) <= {"b"}, text
                    text = unescape(text)
                assert not LIVE.findall(text), text


@pytest.mark.parametrize("url", [SLACK, SLACK_BOT])
def test_slack_is_not_pinged_forged_or_broken(world: World, titles: list[str], url: str) -> None:
    sender = Sender()
    for value in values(titles):
        world.forget()
        assert send(sender, url, value).kind == "sent", value
        (asked,) = world.asked
        assert_inert(asked)
        assert 0 < len(asked.fields["blocks"]) <= 50


def test_no_mail_gets_a_header_a_recipient_or_a_tag(titles: list[str]) -> None:
    server, sender = MailServer(), Sender("News <news@corvid.example>")
    server.start()
    try:
        url = f"mailto://127.0.0.1:{server.port}?to=ines@corvid.example"
        for value in values(titles):
            assert send(sender, url, value).kind == "sent", value
            received = server.mails.pop()
            assert received.rcpt_tos == ["ines@corvid.example"]
            mail = email.message_from_bytes(received.content, policy=default)
            assert {name.lower() for name in mail} <= HEADERS
            assert len(mail.get_all("Subject", [])) == len(mail.get_all("To", [])) == 1
            assert [part.get_content_type() for part in mail.walk()][1:] == ["text/plain", "text/html"]
            html = mail.get_body(("html",))
            assert html is not None
            assert not {"script", "iframe", "img", "svg", "object", "form", "input", "base"} & {
                *Tags(html.get_content()).found
            }
    finally:
        sender.close()
        server.stop()

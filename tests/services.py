"""Slack, Discord, Telegram, Teams, ntfy, Mattermost, Matrix and webhooks as real servers on loopback.

Those whose address names no host are spoken to over TLS under their real names, which lead to loopback here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from monitor.dispatch import Alert, StoryView, TopicRef
from monitor.render import Links, Reader, Renderer, Site
from monitor.send import Outcome, Sender
from tests.make import NOW
from tests.servers import Answer, Asked, WebServer
from tests.tls import Authority, lead_to_loopback

NAMES = ("discord.com", "api.telegram.org", "prod-1.westeurope.logic.azure.com", "hooks.slack.com", "slack.com")
SITE = Site("Corvid risk desk", "https://desk.corvid.example", "Corvid risk desk <news@corvid.example>", "0.1")
READER = Reader("ines", "Ines Okafor", ZoneInfo("Europe/London"), "en")
LINKS = Links("https://desk.corvid.example/u/tok", {}, "")
RENDERER = Renderer()
LINK = "https://northernwire.example/2026/kolva?a=1&b=2"


def well(asked: Asked) -> Answer:
    """What each service answers when all is well."""
    if "/login" in asked.path:
        return 200, {}, b'{"access_token": "tok", "user_id": "@news:127.0.0.1", "device_id": "D"}'
    if "/join" in asked.path:
        return 200, {}, b'{"room_id": "!abc:127.0.0.1"}'
    if asked.host == "hooks.slack.com":
        return 200, {}, b"ok"
    if asked.host == "slack.com":
        return 200, {}, b'{"ok": true, "channel": "C1", "ts": "1732525200.000100"}'
    if asked.host.startswith("prod-1"):
        return 202, {}, b""
    return 200, {}, b'{"ok": true, "id": "1", "event_id": "$1", "result": {"message_id": 1}}'


@dataclass
class World:
    """The services, all good until `answer` is another."""

    tls: WebServer
    web: WebServer

    @property
    def asked(self) -> list[Asked]:
        """The messages that were posted, without logins and the like."""
        chores = ("/login", "/join", "/logout", "whoami")
        return [one for one in (*self.tls.asked, *self.web.asked) if not any(c in one.path for c in chores)]

    def says(self, answer: Callable[[Asked], Answer]) -> None:
        self.tls.answer = self.web.answer = answer

    def forget(self) -> None:
        self.tls.asked.clear()
        self.web.asked.clear()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Path]]:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    world = World(WebServer(well, authority.server_context(*NAMES)), WebServer(well))
    yield world, authority.trust
    world.tls.close()
    world.web.close()


@pytest.fixture
def world(servers: tuple[World, Path], monkeypatch: pytest.MonkeyPatch) -> World:
    world, trust = servers
    lead_to_loopback(monkeypatch, NAMES, world.tls.port)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trust))
    world.says(well)
    world.forget()
    return world


STOCK = {
    "discord": "discord://417429632418316298/s3cretdiscordtokens3cretdiscordtoken",
    "telegram": "tgram://123456789:s3cret_telegram_token_AAAAAAAAAAAAA/-1001234",
    "teams": "workflows://prod-1.westeurope.logic.azure.com:443/s3cretworkflow/s3cretsignature",
    "ntfy": "ntfy://s3crettoken@127.0.0.1:{port}/desk?auth=token",
    "webhook": "json://127.0.0.1:{port}/s3cretpath?+Authorization=Bearer%20s3cretbearer",
    "mattermost": "mmost://127.0.0.1:{port}/s3crethooks3crethook",
    "matrix": "matrix://news:s3cretpassword@127.0.0.1:{port}/!abc:127.0.0.1",
}
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/s3cretslacktokens3cret"
SLACK_BOT = "slack://xoxb-1234-1234-s3cretbottoken/#desk"


def address(world: World, name: str) -> str:
    return STOCK[name].format(port=world.web.port)


def texts(asked: Asked) -> list[str]:
    """Every text of a post, by the path of its place where markup matters."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, str):
            found.append(value)
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(part)

    walk(asked.fields)
    return found


def story(title: str = "Troops sent to the frontier", **changes: Any) -> StoryView:
    values: dict[str, Any] = {
        "id": 1, "event_id": 7, "title": title, "url": LINK, "source": "Northern Wire", "snippet": "Two battalions.",
        "language": "en", "at": NOW, "others": (), "event_key": "k",
    }  # fmt: skip
    return StoryView(**values | changes)


def alert(view: StoryView) -> Alert:
    return Alert("ines", "desk", (TopicRef("border", "Border deployments", "high"),), view, entities=(view.title,))


def send_alert(sender: Sender, url: str, view: StoryView, thread: str = "") -> Outcome:
    value = alert(view)
    if sender.kind(url) == "slack":
        return sender.send(url, RENDERER.slack(value, READER, SITE, LINKS, NOW), "a@b", NOW, thread=thread)
    return sender.send(url, RENDERER.plain(value, READER, SITE, LINKS, NOW, sender.room(url)), "a@b", NOW)


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, _attributes: Any) -> None:
        self.found.append(tag)


# What would ping somebody or show one address as another, in any of these services.
LIVE = re.compile(r"@\w|<[@!#]|\]\(|<(?:https?|mailto):[^>\u200b]*\|")


def assert_inert(asked: Asked) -> None:
    """Slack makes something of < > alone; all there are, are links to the story or the desk."""
    for text in texts(asked):
        for inside in re.findall(r"<([^<>]*)>?", text):
            assert re.match(r"https://(northernwire|desk\.corvid)\.example/", inside), text

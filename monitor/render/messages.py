"""What goes into a message and what comes out: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a message: their name, title, time zone and language."""

    name: str
    title: str
    zone: ZoneInfo
    language: str


@dataclass(frozen=True, slots=True)
class Site:
    """Who sends it."""

    name: str
    public_url: str
    mail_from: str
    version: str


@dataclass(frozen=True, slots=True)
class Links:
    """Signed links of one reader; an empty one is not shown. `topic_off` has a link for each topic's name."""

    unsubscribe: str
    topic_off: Mapping[str, str]
    change: str
    acknowledge: str = ""


@dataclass(frozen=True, slots=True)
class MailMessage:
    """A mail but for From, To, Date and Message-ID, which the sender adds."""

    subject: str
    text: str
    html: str
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """`blocks` of Slack's Block Kit, and the `text` that notifications show instead."""

    text: str
    blocks: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class PlainMessage:
    """A message without markup, for services that have no template of their own."""

    title: str
    body: str

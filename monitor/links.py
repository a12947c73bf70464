"""Signed tokens for the links in messages: who is meant, and which topic or incident. Pure.

A token is base64url(MAC ‖ payload). The MAC is the first 16 bytes of HMAC-SHA256 over a purpose and the payload: a
token made for another purpose with the same key is worth nothing here, and half of the hash is what RFC 2104, section
5, allows to cut down to. Nothing is stored, and an unsubscribe link never expires, since it must work for as long as
its mail is kept; one that does more says itself until which day it is good. Tokens are short, because `email` folds a
long List-Unsubscribe into an encoded word, which breaks one-click (Python issue 85725).
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import MappingProxyType

ALL_TOPICS = "*"
TOKEN_LIMIT = 512  # characters; far above what two names need

_MAC_BYTES = 16
_SEPARATOR = "\0"


class Purpose(Enum):
    """What a link is good for; the value is what its token is signed with."""

    UNSUBSCRIBE = b"news-monitor unsubscribe 1\0"
    PREFERENCES = b"news-monitor preferences 1\0"
    ACKNOWLEDGE = b"news-monitor acknowledge 1\0"
    CONFIRM = b"news-monitor confirm 1\0"


# The purposes whose tokens expire, and after how many days.
LASTS: Mapping[Purpose, int] = MappingProxyType({Purpose.PREFERENCES: 30, Purpose.CONFIRM: 2})


@dataclass(frozen=True, slots=True)
class Target:
    """What a link is about: one topic of a subscriber, or everything (`topic` is ALL_TOPICS). Both are declared names.

    Of an acknowledging link `subscriber` is who has it, and `topic` the name of the incident; of one that expires
    `topic` is its last day.
    """

    subscriber: str
    topic: str = ALL_TOPICS


def sign(secret: bytes, subscriber: str, topic: str = ALL_TOPICS, purpose: Purpose = Purpose.UNSUBSCRIBE) -> str:
    """Return the token for `subscriber` and `topic`: letters, digits, `-` and `_`.

    The MAC comes first so that the token ends in what the topic's name ends in: programs that make links of plain text
    leave out a closing `-` or `_`, and a name does not end so.

    Raises ValueError for an empty secret, an empty name, a NUL within a name, or names too long for TOKEN_LIMIT.
    """
    if not secret:
        raise ValueError("links cannot be signed with an empty key")
    if not subscriber or not topic or _SEPARATOR in subscriber + topic:
        raise ValueError("a link needs a subscriber and a topic, without NUL characters")
    payload = f"{subscriber}{_SEPARATOR}{topic}".encode()
    mac = hmac.digest(secret, purpose.value + payload, "sha256")[:_MAC_BYTES]
    token = urlsafe_b64encode(mac + payload).rstrip(b"=").decode("ascii")
    if len(token) > TOKEN_LIMIT:
        raise ValueError(f"the names are too long for a link of {TOKEN_LIMIT} characters")
    return token


def read(secret: bytes, token: str, purpose: Purpose = Purpose.UNSUBSCRIBE) -> Target | None:
    """Return what `token` names, or None for anything that `sign` did not make with this secret for this purpose.

    The names are signed again and the whole tokens compared in constant time; so a second spelling of a valid token
    (padding, spare bits of base64) is refused too. What cannot be read is signed and compared like all else, so that
    the time of a refusal does not tell what was wrong.
    """
    subscriber, topic, readable = "?", "?", len(token) <= TOKEN_LIMIT
    try:
        raw = b64decode(token[:TOKEN_LIMIT] + "=" * (-len(token[:TOKEN_LIMIT]) % 4), altchars=b"-_", validate=True)
        first, second = raw[_MAC_BYTES:].decode().split(_SEPARATOR)
        if first and second:
            subscriber, topic = first, second
    except ValueError:  # not base64, not UTF-8, not two names
        readable = False
    try:
        expected = sign(secret, subscriber, topic, purpose)
    except ValueError:  # names that would make a longer token than there are
        expected, readable = sign(secret, "?", "?", purpose), False
    same = hmac.compare_digest(expected.encode(), token.encode("utf-8", "replace"))
    return Target(subscriber, topic) if same and readable else None


def last_day_of(token: str) -> datetime:
    """Return the last day of a token that `read_until` took."""
    raw = b64decode(token + "=" * (-len(token) % 4), altchars=b"-_")
    return datetime.strptime(raw[_MAC_BYTES:].decode().split(_SEPARATOR)[1], "%Y%m%d").replace(tzinfo=UTC)


def fingerprint(token: str) -> str:
    """Return what tells one token from another in records, and is worth nothing as a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()[:8]


def last_day(purpose: Purpose, now: datetime) -> str:
    """Return the last day on which a token for a purpose that expires is good, when it is made `now`."""
    return f"{now + timedelta(days=LASTS[purpose]):%Y%m%d}"


def read_until(secret: bytes, token: str, purpose: Purpose, now: datetime) -> str | None:
    """Return the name in a token that expires, or None: the same for one that is no token and for one of the past.

    One that is good for longer than such tokens are made for is none of ours, or of a clock that went back.
    """
    target = read(secret, token, purpose)
    last = target.topic if target is not None else ""
    fits = f"{now:%Y%m%d}" <= last <= last_day(purpose, now + timedelta(days=1))
    return target.subscriber if target is not None and fits else None

"""Signed tokens for the links in messages: who is meant, and which topic or incident. Pure.

A token is base64url(MAC ‖ payload). The MAC is the first 16 bytes of HMAC-SHA256 over a purpose and the payload: a
token made for another purpose with the same key is worth nothing here, and half of the hash is what RFC 2104, section
5, allows to cut down to. Nothing is stored and nothing expires, since an unsubscribe link must work for as long as its
mail is kept. Tokens are short, because `email` folds a long List-Unsubscribe into an encoded word, which breaks
one-click (Python issue 85725).
"""

from __future__ import annotations

import hmac
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass
from enum import Enum

ALL_TOPICS = "*"
TOKEN_LIMIT = 512  # characters; far above what two names need

_MAC_BYTES = 16
_SEPARATOR = "\0"


class Purpose(Enum):
    """What a link is good for; the value is what its token is signed with."""

    UNSUBSCRIBE = b"news-monitor unsubscribe 1\0"
    PREFERENCES = b"news-monitor preferences 1\0"
    ACKNOWLEDGE = b"news-monitor acknowledge 1\0"


@dataclass(frozen=True, slots=True)
class Target:
    """What a link is about: one topic of a subscriber, or everything (`topic` is ALL_TOPICS). Both are declared names.

    Of an acknowledging link `subscriber` is who has it, and `topic` the name of the incident.
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
    (padding, spare bits of base64) is refused too.
    """
    if len(token) > TOKEN_LIMIT:
        return None
    try:
        raw = b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        subscriber, topic = raw[_MAC_BYTES:].decode().split(_SEPARATOR)
        expected = sign(secret, subscriber, topic, purpose)
    except ValueError:  # not base64, not UTF-8, not two names
        return None
    if not hmac.compare_digest(expected.encode(), token.encode()):
        return None
    return Target(subscriber, topic)

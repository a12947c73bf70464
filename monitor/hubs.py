"""WebSub (W3C, 2018): what an answer announces in its Link headers, and whether a push is its hub's. Pure."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable

from monitor.urls import resolve, site

LINKS = 8_192  # characters of Link headers that are read
SIGNED_BY = ("sha1", "sha256", "sha384", "sha512")

# A link and its parameters (RFC 8288, section 3). Runs of blanks were made single ones before, so this is no slow one.
_LINK = re.compile(r'<([^<>]*)>((?: ?; ?[\w!#$&+.^`|~*-]+ ?(?:= ?(?:"(?:[^"\\]|\\.)*"|[^\s",;]*))?)*)')
_PARAMETER = re.compile(r'; ?([\w!#$&+.^`|~*-]+) ?(?:= ?(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*)))?')


def links(headers: Iterable[str], base: str) -> dict[str, str]:
    """Return the first http(s) address for each relation that Link headers name, relative to `base`."""
    found: dict[str, str] = {}
    for target, written in _LINK.findall(" ".join(", ".join(headers)[:LINKS].split())):
        parameters: dict[str, str] = {}
        for name, quoted, plain in _PARAMETER.findall(written):
            parameters.setdefault(name.lower(), quoted or plain)  # of several `rel` the first counts
        # With an `anchor` it is another document's link.
        if "anchor" not in parameters and (address := resolve(base, target)):
            for relation in parameters.get("rel", "").lower().split():
                found.setdefault(relation, address)
    return found


def topic(polled: str, own: str) -> str:
    """Return the address under which a hub knows a feed: what the feed calls its `own`, if that is of the same site.

    Else any publisher could have another one's feed pushed under its name.
    """
    return own if own and site(own) == site(polled) else polled


def is_signed(body: bytes, signature: str, secret: str) -> bool:
    """Whether `signature`, the X-Hub-Signature of a push, is that of `body` by `secret`."""
    method, _, given = signature.strip().partition("=")
    if method.lower() not in SIGNED_BY or not given.isascii():
        return False
    return hmac.compare_digest(hmac.new(secret.encode(), body, method.lower()).hexdigest(), given.lower())

"""WebSub (W3C, 2018): what an answer announces in its Link headers, whether a push is its hub's, and when to ask. Pure.

A hub is an accelerator, and nothing depends on it: what it does not push is polled (notes on feeds, rule 28).
"""

from __future__ import annotations

import hmac
import random
import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from monitor.models import HubLease
from monitor.urls import resolve, site

LEASE = timedelta(days=7)  # asked for
LEASE_CAP = timedelta(days=10)  # what a hub grants beyond it does not count
RENEW_LEAST = timedelta(minutes=5)  # between two confirmations; a lease that is shorter runs out
CONFIRM_WITHIN = timedelta(hours=1)  # of being asked; later, a hub's question is not about what we want
TRY_AGAIN, TRY_AGAIN_MOST = timedelta(minutes=10), timedelta(days=1)
BROKEN_AGAIN, DENIED_AGAIN = timedelta(days=1), timedelta(days=7)
PUSH_LATE = timedelta(minutes=10)  # a story that a poll found and that was not pushed by then is not pushed at all
PINGS_APART = timedelta(minutes=1)
CALLBACKS = "/websub/"  # the folder of the web pages at which hubs ask back and push
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


def ask_delay(tries: int) -> timedelta:
    """Return after how long a hub that was asked so many times in vain is asked again: linear, up to a day."""
    return min(TRY_AGAIN * tries, TRY_AGAIN_MOST)


def granted(seconds: str) -> timedelta:
    """Return how long a hub says that it pushes; where it does not say, what it was asked for."""
    return min(timedelta(seconds=int(seconds)), LEASE_CAP) if re.fullmatch(r"\d{1,9}", seconds, re.ASCII) else LEASE


def renew_after(lease: timedelta, rng: random.Random) -> timedelta:
    """Return after how long a lease is renewed: about two thirds of it, and never at once."""
    return max(lease * rng.uniform(0.6, 2 / 3), RENEW_LEAST)


def is_live(lease: HubLease, now: datetime) -> bool:
    """Whether the hub has agreed to push by now."""
    return lease.state in ("verified", "broken") and lease.lease_until is not None and lease.lease_until > now


def is_pushing(lease: HubLease, now: datetime) -> bool:
    """Whether the hub has pushed since it agreed to, and pushed all that polls found."""
    agreed, last = lease.verified_at, lease.pushed_at
    known = agreed is not None and last is not None and last >= agreed
    return known and lease.state == "verified" and is_live(lease, now) and not lease.missing

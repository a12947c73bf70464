"""What messages go by: which server, webhook or chat an address leads to, and what may be asked of it. Pure.

An endpoint is what fails, throttles and hangs as one; all channels that lead to it share its limits. A recipient is
the address itself, which refuses by itself. Neither name holds a secret: they are stored, logged and shown.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

# In a row, until an endpoint counts as down. A server that answers, and be it with a refusal, is not down.
OPEN_AFTER = 3
PROBE_FIRST, PROBE_FACTOR, PROBE_CAP = 15.0, 2.0, 600.0  # seconds until it is tried again, with one message
SUSPEND_AFTER = 3  # refusals for good in a row, until an address is not written to any more
Trouble = Literal["down", "failing", "resting"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How an endpoint may be used: messages at once, seconds between the starts of two, and how many may come early."""

    at_once: int = 4
    gap: float = 0.0
    burst: int = 1


# What the services document (notes on delivery, section 3): Slack takes one message a second a webhook, Telegram one a
# second a chat and 20 a minute a group, Discord about 30 a minute a webhook, Teams four a second.
_PACES = {
    "slack": Pace(1, 1.0),
    "telegram": Pace(1, 1.0),
    "telegram-group": Pace(1, 3.0),
    "discord": Pace(1, 2.0, 5),
    "teams": Pace(1, 0.25),
}
_SERVICES = {
    "mailto": "mail",
    "mailtos": "mail",
    "slack": "slack",
    "tgram": "telegram",
    "discord": "discord",
    "workflow": "teams",
    "workflows": "teams",
    "msteams": "teams",
}


@lru_cache(maxsize=65536)
def endpoint_of(url: str) -> str:
    """Return the name of the endpoint that an Apprise address leads to: "mail smtp.example:587", "slack 1f0c…".

    Of mail it is the server. Of other services it is a hash, since what stands in the host's place there is often a
    token: of the webhook for Slack and Teams, of the chat for Telegram, else of what stands in the host's place.
    """
    parts = _split(url)
    if parts is None:
        return ""
    scheme, netloc, path, query = parts
    service = _SERVICES.get(scheme, scheme)
    host = netloc.rpartition("@")[2].lower()
    if service == "mail":
        name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        server = (query.get("smtp") or [name if colon else host])[0].lower()
        usual = "" if scheme == "mailto" else ":tls"
        return f"mail {server}{f':{port}' if colon else usual}"
    if service == "telegram" and path.strip("/").startswith("-"):
        service = "telegram-group"
    whole = service in ("slack", "teams", "telegram", "telegram-group")
    return f"{service} {_hash(netloc + path.rstrip('/') if whole else host)}"


@lru_cache(maxsize=65536)
def recipient_of(url: str) -> str:
    """Return the name of an address: a hash, by which a changed address is another one."""
    return _hash(url)


def addressed_to(url: str, address: str) -> str:
    """Return a mail channel's address with `address` for its one recipient, in place of those it names."""
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    kept = [
        part for part in query.split("&") if part and unquote(part.partition("=")[0]).lower() not in ("to", "cc", "bcc")
    ]
    kept.append(f"to={quote(address, safe='@')}")
    return f"{scheme}://{place.partition('/')[0]}?{'&'.join(kept)}"


def addressees(url: str) -> frozenset[str]:
    """Return the addresses that a mail channel names with `to`, case-folded; none of other services."""
    scheme, _, rest = url.partition("://")
    if _SERVICES.get(scheme.lower()) != "mail":
        return frozenset()
    written = parse_qs(rest.partition("?")[2]).get("to", [])
    return frozenset(one.strip().casefold() for value in written for one in value.split(","))


def pace_of(endpoint: str) -> Pace:
    """Return how an endpoint may be used."""
    return _PACES.get(endpoint.partition(" ")[0], Pace())


def knows_repeats(endpoint: str) -> bool:
    """Whether a repeat can be told by those who get it: a mail's by its Message-ID."""
    return endpoint.startswith("mail ")


def probe_delay(failures: int) -> float:
    """Return the seconds after which an endpoint that failed so often in a row is tried again; 0: it counts as up."""
    if failures < OPEN_AFTER:
        return 0.0
    return min(PROBE_CAP, PROBE_FIRST * PROBE_FACTOR ** min(failures - OPEN_AFTER, 20))


def standing(failures: int) -> Trouble:
    """Return how an endpoint stands that is not as it should be: it failed so often in a row, or asked for rest."""
    return "down" if failures >= OPEN_AFTER else "failing" if failures else "resting"


def is_down(code: str) -> bool:
    """Whether the code of a failed attempt says that the endpoint as a whole takes nothing now.

    A three-digit reply does not, for whoever gives one is there, and it may be about this recipient alone (greylisting:
    450, 451). Except: 421 (RFC 5321: the service closes), 408, 429 and HTTP's 500 and above.
    """
    if len(code) == 3 and code.isdecimal():
        return code in ("408", "421", "429") or code >= "500"
    return True


def _split(url: str) -> tuple[str, str, str, dict[str, list[str]]] | None:
    try:
        parts = urlsplit(url)
        return parts.scheme.lower(), parts.netloc, parts.path, parse_qs(parts.query)
    except ValueError:
        return None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]

"""What became of an attempt, read from what a server said. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from monitor.logs import redact

# Called just before the message's bytes go out; False says that the lease is lost and nothing may be sent.
OnWire = Callable[[], bool]
# Called with how many parts of a message have been taken; False says the same.
OnPart = Callable[[int], bool]
Bounce = Literal["", "hard", "soft"]
Step = Literal["greeting", "login", "from", "to", "data"]

DETAIL_LIMIT = 300  # characters of a server's reply that are kept

_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")  # RFC 3463, at the start of a reply's text
_AUTHENTICATION = (530, 534, 535, 538, 454)  # RFC 4954, section 6; all are about the login, and not about the message

# Said of our own allowance for the day, as if for good: by Gmail, and twice by Exchange Online.
_ALLOWANCE = ("5.4.5", "5.1.90", "5.7.705")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt.

    `sent`: the server took it. `retry`: it certainly was not delivered and may be later. `permanent`: it never will be.
    `unknown`: the bytes went out and no answer came back; it may have been delivered. `lost`: not tried, for the lease
    was lost. `retry_after` is in seconds; `receipt` is the server's own reply or id; `detail` holds no secret.
    `bounce` is about the address, where that is to blame: `hard` when it is no good (no such mailbox, a webhook that
    was removed), `soft` when it takes nothing for now (a full mailbox).
    """

    kind: Literal["sent", "retry", "permanent", "unknown", "lost"]
    code: str = ""
    detail: str = ""
    retry_after: float | None = None
    receipt: str = ""
    bounce: Bounce = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """How a channel looks without anything being sent by it: `untested` where its service tells nothing before."""

    state: Literal["good", "warning", "bad", "untested"]
    said: str
    fix: str = ""


def reply(code: int, text: bytes | str) -> str:
    """Return a mail server's reply on one line, cut to DETAIL_LIMIT, without secrets."""
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return redact(f"{code} {' '.join(said.split())}")[:DETAIL_LIMIT]


def from_smtp(step: Step, code: int, text: bytes | str) -> Outcome:
    """Return what a mail server's reply at a step of the dialogue means for the message.

    2xx took it; 4xx is for later, greylisting included; 5xx is for good (RFC 5321, section 4.2.1) where it is about
    this message or its recipient. A 5xx about us (the greeting, login, sender, a provider's daily allowance) may
    be mended while the message waits, and would hold for every other message as well, so it waits.
    """
    said = reply(code, text)
    if 200 <= code < 300:
        return Outcome("sent", str(code), receipt=said)
    found = _STATUS.search(said[:30])
    status = found.group(1) if found else ""
    if step == "login" or code in _AUTHENTICATION:
        return Outcome("retry", str(code), f"login refused: {said}")
    if code < 500 or step == "greeting":
        soft = step in ("to", "data") and status.startswith("4.2.")
        return Outcome("retry", str(code), said, bounce="soft" if soft else "")
    if status in _ALLOWANCE:
        return Outcome("retry", str(code), f"the mail provider's allowance is used up: {said}")
    if step == "from" and code != 552 and status != "5.3.4":
        return Outcome("retry", str(code), f"the server does not let us send as this sender: {said}")
    return Outcome("permanent", str(code), said, bounce=_bounce(step, code, status))


def _bounce(step: Step, code: int, status: str) -> Bounce:
    # RFC 3463: x.1.z is about the address (7 and 8 about the sender's), x.2.1 a mailbox turned off, x.2.2 a full one.
    if step == "from":
        return ""
    if status:
        if status.startswith("5.1.") and status not in ("5.1.7", "5.1.8"):
            return "hard"
        return {"5.2.1": "hard", "5.2.2": "soft"}.get(status, "")  # type: ignore[return-value]  # a dict's values are str
    if code == 552:
        return "soft"
    return "hard" if step == "to" and code in (550, 551, 553) else ""


def seconds(value: str | None) -> float | None:
    """Return a Retry-After in seconds; None for what is no number of them."""
    return float(value) if value is not None and re.fullmatch(r"\d{1,9}(\.\d{1,6})?", value.strip()) else None


def wait(headers: Mapping[str, str]) -> float | None:
    """Return in how many seconds a service wants to be asked again: Retry-After is a number of them, or a date, which
    counts by the service's own clock (RFC 9110, 10.2.3). None: it does not say."""
    said = headers.get("Retry-After")
    try:
        then, now = parsedate_to_datetime(said or ""), parsedate_to_datetime(headers.get("Date") or "")
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError):  # no dates, or one of no zone
        return seconds(said)


def from_http(status: int, detail: str = "", retry_after: float | None = None) -> Outcome:
    """Return what the status of a web service's answer means; a refusal for good is one of the address."""
    code = str(status)
    detail = detail or f"the service answered {status}"
    if status in (400, 405, 413, 414, 422):  # about the message, or how it was asked
        return Outcome("permanent", code, detail)
    if status in (401, 403, 404, 410):
        return Outcome("permanent", code, detail, bounce="hard")
    return Outcome("retry", code, detail, retry_after)

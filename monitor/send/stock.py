"""All other services: Apprise's own plugins, with messages cut to their limits and outcomes read from what they log."""

from __future__ import annotations

import json
import logging
import re
import threading
from typing import Any

from apprise import NotifyFormat
from apprise.plugins.custom_form import NotifyForm
from apprise.plugins.custom_json import NotifyJSON
from apprise.plugins.custom_xml import NotifyXML

from monitor.render import PlainMessage
from monitor.send import http
from monitor.send.outcome import Outcome, from_http, seconds, wait

_WEBHOOKS = (NotifyForm, NotifyJSON, NotifyXML)
MOST_PIECES = 3  # that one message may become
_MARK = len(" (3/3)")
TAKEN = "taken, as Apprise reports"  # these services give no receipt

# ntfy makes a file of a message of more than 4,096 bytes; Apprise believes 7,800 characters. And Apprise makes one
# itself of a message whose JSON, in which each letter beyond ASCII takes six characters, has more than 8,000 with all
# that is around it: so one of those counts for more than a byte.
_BYTES = {"ntfy": 4_000}
_JSON = 7_500
_CHARACTER = 8  # that one character counts for at most

_ERROR = re.compile(r"error=(\d{3})\b")
_RETRY_AFTER = re.compile(r"retry_after['\"]?\s*:\s*([\d.]+)")
# What requests says when a connection was never made, so that nothing can have been delivered.
_NEVER_CONNECTED = re.compile(
    r"NewConnectionError|ConnectTimeout|NameResolutionError|Failed to resolve|Connection refused|getaddrinfo|SSLError"
    r"|CERTIFICATE_VERIFY_FAILED"
)


class _Reports(logging.Filter):
    """Collects what Apprise says in the thread that asks, and lets none of it through: its records hold tokens."""

    def __init__(self) -> None:
        super().__init__()
        self._here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a record of a thread that listens; False, so that no handler of anybody sees one."""
        lines = getattr(self._here, "lines", None)
        if lines is not None:
            lines.append((record.levelno, record.getMessage()))
        return False

    def start(self) -> None:
        """Listen to this thread."""
        self._here.lines = []

    def stop(self) -> tuple[str, str]:
        """Return what was said as warnings and below."""
        lines, self._here.lines = self._here.lines, None
        return (
            "\n".join(text for level, text in lines if level >= logging.WARNING),
            "\n".join(text for level, text in lines if level < logging.WARNING),
        )


_reports = _Reports()
_log = logging.getLogger("apprise")
_log.setLevel(logging.DEBUG)
_log.addFilter(_reports)
# It tells the path of every request, the secret of a webhook; as a warning too, of headers that it cannot read.
logging.getLogger("urllib3").setLevel(logging.ERROR)


def room(service: Any) -> int:
    """Return how long the title and body of a message for a service may be together, in characters."""
    return max(100, MOST_PIECES * (_limit(service) - _MARK) - 300)


def _limit(service: Any) -> int:
    return _BYTES.get(service.service_name, int(service.body_maxlen or 0) or 30_000)


def pieces(service: Any, message: PlainMessage) -> list[PlainMessage]:
    """Return `message` in parts that keep the service's limit, of about the same length, each but one numbered.

    What does not fit into MOST_PIECES ends with "…"; `room` says what fits, so that the renderer can choose.
    """
    title_most = int(service.title_maxlen or 0)
    title = message.title
    within = title_most <= 0 or bool(service.overflow_amalgamate_title)
    if within:
        title_most = _limit(service) // 3
    title = _start(service, title, title_most - _MARK)
    most = max(20, _limit(service) - (_size(service, title) + _MARK + 4 if within else 0))
    parts = split(message.body, most, lambda text: _size(service, text))
    if len(parts) > MOST_PIECES:
        parts = parts[:MOST_PIECES]
        parts[-1] = _start(service, parts[-1], most - 3) + "…"
    if len(parts) == 1:
        return [PlainMessage(title, parts[0])]
    return [PlainMessage(f"{title} ({at}/{len(parts)})".strip(), part) for at, part in enumerate(parts, 1)]


def _size(service: Any, text: str) -> int:
    """How much of the service's limit `text` takes: bytes, or UTF-16 units, the most that any counts."""
    if service.service_name in _BYTES:
        written = len(json.dumps(text)) - len('""')
        return max(len(text.encode("utf-8", "replace")), -(-written * _limit(service) // _JSON))
    return len(text) + sum(character > "\uffff" for character in text)


def _start(service: Any, text: str, most: int) -> str:
    """The start of `text` that fits."""
    while (size := _size(service, text)) > most:
        text = text[: max(0, len(text) - max(1, (size - most) // 4))]
    return text


def split(text: str, most: int, size: Any = len) -> list[str]:
    """Return `text` in as few parts of at most `most` as can be, of about the same length.

    Cut at an empty line, else at the end of a line, else at a blank, else anywhere.
    """
    whole = size(text)
    if whole <= most:
        return [text]
    aim = whole / -(-whole // most)
    for end in ("\n\n", "\n", " "):
        cuts = [place.start() for place in re.finditer(end, text)]
        good = [cut for cut in cuts if aim / 2 <= size(text[:cut]) <= most]
        if good:
            cut = min(good, key=lambda place: abs(size(text[:place]) - aim))
            break
    else:
        cut = most
        while size(text[:cut]) > min(most, aim + _CHARACTER):
            cut -= 1
    return [text[:cut].rstrip(), *split(text[cut:].lstrip("\n "), most, size)]


def _format(service: Any) -> NotifyFormat:
    """What Apprise is told that a message is. For Teams it would put backslashes into the addresses of plain text."""
    wanted = service.notify_format
    formats = wanted if isinstance(wanted, tuple) else (wanted,)
    return NotifyFormat.MARKDOWN if set(formats) == {NotifyFormat.MARKDOWN} else NotifyFormat.TEXT


def deliver(service: Any, apprise: Any, message: PlainMessage, identity: str) -> Outcome:
    """Send one part by Apprise, in this thread, and return what it reports.

    `identity` is the same for every attempt; a webhook of the operator's own gets it as a header, and can drop repeats.
    """
    if isinstance(service, _WEBHOOKS):
        service.headers.setdefault("Idempotency-Key", identity)
    # A plugin waits as long as a server's clock tells it to (Discord), without a limit; the outbox waits instead.
    service.throttle = lambda *_args, **_options: None
    apprise.add(service)
    _reports.start()
    http.listen()
    try:
        result = apprise.notify(body=message.body, title=message.title, body_format=_format(service))
    finally:
        (warnings, rest), heard = _reports.stop(), http.heard()
    status, headers = heard[-1] if heard else (0, {})
    if result:
        return Outcome("sent", str(status) if status else "", TAKEN)
    codes = [int(code) for code in _ERROR.findall(warnings)] or [status]
    if codes[-1] >= 300:
        waits = _RETRY_AFTER.findall(rest)
        return from_http(codes[-1], retry_after=seconds(waits[-1]) if waits else wait(headers))
    if _NEVER_CONNECTED.search(rest):
        return Outcome("retry", "connection", "the service could not be reached")
    return Outcome("unknown", detail="the service did not say whether it took the message")

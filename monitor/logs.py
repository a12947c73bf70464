"""Logging to standard error, with every known secret and every credential in an address taken out."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable

HIDDEN = "***"

# scheme://user:password@host and scheme://token@host; what follows the host is kept, since it says which feed it was.
_CREDENTIALS = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@'\"<>]+@")
# Apprise addresses other than mail carry their secret in the path (slack://T/B/C), so only the scheme is kept. What
# remedies teach stays readable: a scheme by itself (`slack://`), `slack://…`, and parts named in < >.
_CHANNEL = re.compile(
    r"(?i)(?<![\w+.-])(?!https?:|mailtos?:|sqlite:|postgresql)([a-z][a-z0-9+.-]*://)(?=[^\s'\"<>`…]*\w)[^\s'\"<>`…]+"
)
_HEADER = re.compile(r"(?i)\b(authorization|cookie|set-cookie|x-api-key)(['\"]?\s*[:=]\s*)[^\r\n]+")


class Redactor(logging.Filter):
    """A logging filter that takes secrets out of messages, arguments and tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets: tuple[str, ...] = ()

    def learn(self, secrets: Iterable[str]) -> None:
        """Replace the known secrets by `secrets`; those of fewer than 4 characters would blot out ordinary words."""
        self._secrets = tuple(sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True))

    def redact(self, text: str) -> str:
        """Return `text` without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = _CREDENTIALS.sub(rf"\1{HIDDEN}@", text)
        text = _CHANNEL.sub(rf"\1{HIDDEN}", text)
        return _HEADER.sub(rf"\1\2{HIDDEN}", text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite `record` in place; never drops one."""
        record.msg = self.redact(record.getMessage())
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self.redact(record.exc_text)
        return True


redactor = Redactor()
redact = redactor.redact


def setup(level: str = "INFO") -> None:
    """Send the program's logs to standard error at `level`; libraries speak from WARNING on, Apprise never (`send`)."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    handler.setFormatter(formatter)
    handler.addFilter(redactor)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("monitor").setLevel(level)
    # A tick that is still busy is skipped, as it should be; what keeps it busy tells of itself.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)

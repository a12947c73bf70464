"""Bodies of answers, unpacked as they come, to no more than is wanted. Pure."""

from __future__ import annotations

import zlib
from typing import Any


class BodyError(ValueError):
    """A body that is not whole, or cannot be unpacked; the message goes on after the host's name."""


class Unpacked:
    """A body, undone as it comes if it is packed (once), to no more than one byte over `limit`.

    gzip is known by its first bytes, announced or not (a `.gz` file, a Transfer-Encoding).
    """

    def __init__(self, limit: int, coding: str) -> None:
        self._limit = limit
        self._coding = coding
        self._inflate: Any = None
        self._plain = False
        self._raw = b""
        self.body = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises zlib.error on what is no such stream."""
        self._raw += chunk
        while self._raw and len(self.body) <= self._limit:
            if self._inflate is None and not self._plain:
                if len(self._raw) < 2:
                    return
                self._inflate = _inflater(self._raw[:2], self._coding)
                self._plain = self._inflate is None  # it may say gzip and not be: a common mistake behind proxies
            if self._plain:
                self.body += self._raw
                self._raw = b""
                return
            self.body += self._inflate.decompress(self._raw, self._limit + 1 - len(self.body))
            self._raw = self._inflate.unconsumed_tail
            if self._inflate.eof:
                # gzip files may stand behind one another (RFC 1952, 2.2); what else follows is padding.
                following = self._inflate.unused_data
                if following[:2] != _GZIP:
                    return
                self._raw, self._inflate = following, None

    def end(self) -> None:
        """Raise BodyError when the stream is not whole: half a document would pass for the new state of all."""
        if self._inflate is None:
            self.body += self._raw  # a single byte
        elif not self._inflate.eof:
            raise BodyError("broke off in the middle of the document")


_GZIP = b"\x1f\x8b"


def _inflater(start: bytes, coding: str) -> Any:
    if start == _GZIP:
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    if not coding:
        return None
    if start[0] & 0x0F == 8 and int.from_bytes(start, "big") % 31 == 0:  # a zlib header (RFC 1950)
        return zlib.decompressobj()
    # A bare stream has no mark of its own; servers that say `deflate` send it, or text.
    text = coding != "deflate" or start[:1] in b"<{ \t\r\n\xef\xfe\xff"
    return None if text else zlib.decompressobj(-zlib.MAX_WBITS)

"""HTTP with the limits that requests has not: of the time for a whole exchange, and of the bytes of an answer.

A timeout of requests is one of each step, so a server that sends its answer byte by byte holds its caller for as long
as it likes. Apprise's plugins call requests themselves, and tell of an answer little more than its status. So every
session of this process gets an adapter that keeps the limits, and tells the thread that asked what came back.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Mapping
from typing import Any

import requests.sessions
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

PATIENCE = 60.0  # seconds for an exchange in all, from the connection to the end of its answer
ANSWER_BYTES = 65_536  # of an answer that are read; that to a bot of Slack holds the message as Slack has it

Heard = list[tuple[int, Mapping[str, str]]]  # the status and headers of each answer


class _Here(threading.local):
    """What this thread is at: its exchange, and what it heard since it began to listen."""

    exchange: _Exchange | None = None
    heard: Heard | None = None


_here = _Here()


def listen() -> None:
    """Collect what is answered to this thread from here on."""
    _here.heard = []


def heard() -> Heard:
    """Return what was answered since `listen`, and stop listening."""
    found, _here.heard = _here.heard, None
    return found or []


class _Exchange:
    """One request and its answer in this thread; when its time is over, the connection is cut off."""

    def __init__(self) -> None:
        self.connection: HTTPConnection | None = None
        self._timer = threading.Timer(PATIENCE, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> None:
        _here.exchange = self
        self._timer.start()

    def __exit__(self, *_error: object) -> None:
        self._timer.cancel()
        _here.exchange = None

    def _cut(self) -> None:
        """Have the thread that waits get an error instead of an answer."""
        connection = self.connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)


class _Plain(HTTPConnection):
    def connect(self) -> None:
        if _here.exchange is not None:
            _here.exchange.connection = self
        super().connect()


class _Tls(_Plain, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


_POOLS = {"http": _PlainPool, "https": _TlsPool}


class _Adapter(HTTPAdapter):
    """Reads an answer itself, as far as the limits allow: what is missing then is only the end of its text."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Have connections known to their exchange."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Have connections through a proxy known too; one of SOCKS has classes of its own."""
        manager = super().proxy_manager_for(*args, **options)
        if isinstance(manager, ProxyManager):
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        """Return the answer, its text read. Raises what requests raises where there is none."""
        with _Exchange():
            answer = super().send(request, *args, **options)
            if _here.heard is not None:
                _here.heard.append((answer.status_code, answer.headers))
            raw, text = answer.raw, b""
            with contextlib.suppress(HTTPError, OSError):  # the head has said how it went
                while len(text) < ANSWER_BYTES and (piece := raw.read1(ANSWER_BYTES - len(text), decode_content=True)):
                    text += piece
            raw.close()
            answer.raw = io.BytesIO(text)
        return answer


# What a session mounts when it is made. There is no other way in: plugins call requests.post.
requests.sessions.HTTPAdapter = _Adapter  # type: ignore[attr-defined]  # a name of the module that it does not list

"""SMTP connections that are kept between messages, and the TLS contexts they are made with.

A connection costs a mail several round trips, a login and, for Apprise's plugin, 28 ms of CPU for the trust store. One
is kept for each server and sending thread at most, as that many are in use at once. Nothing asks a kept connection
whether it is alive: if the server has hung up, the first command of the next mail fails before anything of it is out,
and it goes by a fresh connection (`NewsMail.deliver`).
"""

from __future__ import annotations

import contextlib
import functools
import smtplib
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field

TIMEOUT = 15.0  # seconds; what Apprise allows a mail server to answer a step
IDLE = 30.0  # seconds that an unused connection is kept; mail servers hang up after one to five minutes
PATIENCE = 90.0  # seconds for a message in all, or for the way in: TIMEOUT is for each piece of an answer
WATCH = 10.0  # seconds between two looks at what rests or takes too long
MOST_MESSAGES = 100  # by one connection: some servers refuse more
QUIT_TIMEOUT = 0.5  # seconds to hand the goodbye to the network

PORTS = {"ssl": 465, "starttls": 587}


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server and who we are there. `mode` is Apprise's: insecure, starttls or ssl."""

    host: str
    port: int
    mode: str
    user: str = ""
    password: str = field(default="", repr=False)
    verify: bool = True


class LoginError(Exception):
    """The server refused our login."""

    def __init__(self, code: int, text: bytes | str) -> None:
        super().__init__(code)
        self.code, self.text = code, text


@dataclass(slots=True)
class Connection:
    """A connection: `used` counts its messages, and `since` when it was taken or given back, on the monotonic clock."""

    server: Server
    smtp: smtplib.SMTP
    used: int = 0
    since: float = field(default_factory=time.monotonic)

    def cut(self) -> None:
        """Cut it off, so that the thread that waits for the server gets an error instead of an answer."""
        if self.smtp.sock is not None:
            with contextlib.suppress(OSError):
                self.smtp.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Say goodbye, without waiting for the server to say it too."""
        with contextlib.suppress(OSError, smtplib.SMTPException):
            if self.smtp.sock is not None:
                self.smtp.sock.settimeout(QUIT_TIMEOUT)
                self.smtp.putcmd("QUIT")
        self.smtp.close()


class Connections:
    """The kept connections of all sending threads. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Server, list[Connection]] = {}
        self._in_use: dict[int, Connection] = {}  # by id
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}
        self._timer: threading.Timer | None = None
        self._closed = False

    def take(self, server: Server, *, fresh: bool = False) -> Connection:
        """Return a kept connection, or a fresh one, logged in.

        Raises LoginError, smtplib.SMTPException or OSError for what the server or the network does.
        """
        if not fresh:
            with self._lock:
                kept = self._kept.get(server)
                if kept:
                    connection = kept.pop()
                    connection.since = time.monotonic()
                    self._in_use[id(connection)] = connection
                    return connection
        smtp: smtplib.SMTP
        if server.mode == "ssl":
            context = self._tls(server.host, server.verify)
            smtp = smtplib.SMTP_SSL(local_hostname=_own_name(), timeout=TIMEOUT, context=context)
        else:
            smtp = smtplib.SMTP(local_hostname=_own_name(), timeout=TIMEOUT)
        connection = Connection(server, smtp)
        with self._lock:
            self._in_use[id(connection)] = connection
            self._watch()
        try:
            self._open(connection)
        except BaseException:
            smtp.close()
            self.done(connection)
            raise
        connection.since = time.monotonic()
        return connection

    def done(self, connection: Connection) -> None:
        """Forget a connection that is of no more use; whoever has it closes it."""
        with self._lock:
            self._in_use.pop(id(connection), None)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection that has no open transaction for the next message, or close it when it has done enough."""
        connection.used += 1
        connection.since = time.monotonic()
        with self._lock:
            self._in_use.pop(id(connection), None)
            if not self._closed and connection.used < MOST_MESSAGES:
                self._kept.setdefault(connection.server, []).append(connection)
                self._watch()
                return
        connection.close()

    def close(self) -> None:
        """Close all that are not in use; those that are close when they are given back."""
        with self._lock:
            self._closed = True
            timer, self._timer = (None, self._timer) if self._in_use else (self._timer, None)
            connections = [one for kept in self._kept.values() for one in kept]
            self._kept.clear()
        if timer is not None:
            timer.cancel()
        for connection in connections:
            connection.close()

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(WATCH, self._look)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        now = time.monotonic()
        rested: list[Connection] = []
        with self._lock:
            self._timer = None
            for server, kept in list(self._kept.items()):
                rested += [one for one in kept if now - one.since >= IDLE]
                self._kept[server] = [one for one in kept if now - one.since < IDLE]
                if not self._kept[server]:
                    del self._kept[server]
            late = [one for one in self._in_use.values() if now - one.since >= PATIENCE]
            if self._kept or self._in_use:
                self._watch()
        for connection in late:
            connection.cut()
        for connection in rested:
            connection.close()

    def _open(self, connection: Connection) -> None:
        server, smtp = connection.server, connection.smtp
        smtp._host = server.host  # type: ignore[attr-defined]  # the name that TLS checks; smtplib has it from __init__ alone
        code, text = smtp.connect(server.host, server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        if server.mode == "starttls":
            smtp.starttls(context=self._tls(server.host, server.verify))
        smtp.ehlo_or_helo_if_needed()
        if server.user and server.password:
            try:
                smtp.login(server.user, server.password)
            except smtplib.SMTPAuthenticationError as error:
                raise LoginError(error.smtp_code, error.smtp_error) from error

    def _tls(self, host: str, verify: bool) -> ssl.SSLContext:
        with self._lock:
            context = self._contexts.get((host, verify))
            if context is None:
                context = self._contexts[host, verify] = ssl.create_default_context()
                if not verify:  # the operator's own word: `verify=no` in the address
                    context.check_hostname = False
                    context.verify_mode = ssl.CERT_NONE
            return context


@functools.cache
def _own_name() -> str:
    """What we call ourselves to servers; looked up once, since it may ask a name server."""
    name = socket.getfqdn()
    if "." in name:
        return name
    with contextlib.suppress(OSError):
        return f"[{socket.gethostbyname(socket.gethostname())}]"
    return "[127.0.0.1]"

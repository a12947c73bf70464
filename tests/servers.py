"""Real servers on loopback that tests send to. (Feeds are served by `fakes.FeedServer`.)"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP


@dataclass(frozen=True, slots=True)
class Received:
    """One message that was taken over the wire."""

    mail_from: str
    rcpt_tos: list[str]
    content: bytes


class MailServer:
    """An SMTP server that keeps what comes. `replies` maps MAIL, RCPT, DATA to an answer; "drop" hangs up instead.

    The recipients in `refused` do not exist.
    """

    def __init__(self, port: int = 0) -> None:
        self.mails: list[Received] = []
        self.replies: dict[str, str] = {}
        self.refused: set[str] = set()
        if not port:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
        self.port = port
        self._controller = Controller(self, hostname="127.0.0.1", port=port)

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    async def handle_MAIL(self, _server: SMTP, _session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if reply := self.replies.get("MAIL"):
            return reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, _server: SMTP, _session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if reply := self.replies.get("RCPT") or ("550 5.1.1 no such user" if address in self.refused else ""):
            return reply
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Any, envelope: Any) -> str:
        reply = self.replies.get("DATA", "250 2.0.0 OK: queued")
        if reply.startswith("2") or reply == "drop":
            self.mails.append(Received(envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
        if reply == "drop":
            server.transport.abort()
            return "421 gone"
        return reply


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that a web server got."""

    method: str
    host: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """The body as JSON."""
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


Answer = tuple[int, Mapping[str, str], bytes]


class WebServer:
    """A real web server that records what it is asked and answers by `answer`; with `tls` it speaks HTTPS."""

    def __init__(self, answer: Callable[[Asked], Answer], tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def _talk(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = Asked(self.command, self.headers.get("Host", ""), self.path, dict(self.headers), body)
                web.asked.append(asked)
                status, headers, answer = web.answer(asked)
                if status == 0:  # hang up without a word
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def do_GET(self) -> None:
                self._talk()

            def do_POST(self) -> None:
                self._talk()

            def do_PUT(self) -> None:
                self._talk()

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def get_request(self) -> tuple[socket.socket, Any]:
                connection, address = super().get_request()
                # The handshake is the handler's, in its own thread: one who speaks no TLS stops nobody else.
                if tls is not None:
                    connection = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                return connection, address

            def handle_error(self, *_: Any) -> None:
                pass  # a client that does not trust us hangs up, and is meant to

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="web server")
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def dripping(begin: bytes, *, asked: bool) -> Iterator[int]:
    """A server that says `begin`, and then goes on byte by byte without an end; its port.

    It waits to be asked first, as web servers do, or greets whoever comes, as mail servers do.
    """
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            connection = listener.accept()[0]
            with connection, suppress(OSError):
                if asked:
                    connection.recv(65_536)
                connection.sendall(begin)
                while not over.wait(0.05):
                    connection.sendall(b"x")

        thread = threading.Thread(target=talk)
        thread.start()
        yield listener.getsockname()[1]
        over.set()
        thread.join(10)

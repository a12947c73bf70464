"""Real servers on loopback that tests send to. (Feeds are served by `fakes.FeedServer`.)"""

from __future__ import annotations

import socket
from dataclasses import dataclass
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
    """An SMTP server that keeps what comes. `replies` maps MAIL, RCPT, DATA to an answer; "drop" hangs up instead."""

    def __init__(self, port: int = 0) -> None:
        self.mails: list[Received] = []
        self.replies: dict[str, str] = {}
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
        if reply := self.replies.get("RCPT"):
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

"""The demo's surroundings: the outlets' web server, a mail server, and a webhook that answers as Slack's does."""

from __future__ import annotations

import email
import hashlib
import json
import re
import socket
from collections.abc import Callable
from datetime import datetime
from email.policy import default
from pathlib import Path
from typing import Any

from aiohttp import web
from aiosmtpd.controller import Controller

from monitor.demo.newswire import Newswire

Say = Callable[[str], None]


def _kind(subject: str, *, is_digest: bool) -> str:
    return "digest" if is_digest else "update" if subject.startswith("Re: ") else "alert"


class _Loopback:
    """An aiohttp server on a free port of loopback."""

    def __init__(self) -> None:
        self.app = web.Application(client_max_size=2_000_000)
        self._runner = web.AppRunner(self.app, access_log=None)
        self.url = ""

    async def start(self) -> None:
        """Start to listen; `url` is then where."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()


class NewswireServer(_Loopback):
    """Serves every outlet's feed as it stands now, with an ETag and its 304."""

    def __init__(self, newswire: Newswire, elapsed: Callable[[], float], start: datetime) -> None:
        super().__init__()
        self._newswire, self._elapsed, self._start = newswire, elapsed, start
        self._outlets = {outlet.path: outlet.id for outlet in newswire.outlets.values()}
        self.documents = self.unchanged = 0
        self.app.router.add_get("/{path}", self._feed)

    async def _feed(self, request: web.Request) -> web.Response:
        outlet = self._outlets.get(request.match_info["path"])
        if outlet is None:
            raise web.HTTPNotFound
        body, content_type = self._newswire.document(outlet, self._elapsed(), self.url, self._start)
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if request.headers.get("If-None-Match") == etag:
            self.unchanged += 1
            return web.Response(status=304, headers={"ETag": etag})
        self.documents += 1
        return web.Response(body=body, headers={"ETag": etag, "Content-Type": content_type})


class SlackSink(_Loopback):
    """Takes webhook posts, answers "ok", and keeps each as JSON."""

    def __init__(self, folder: Path, say: Say) -> None:
        super().__init__()
        self._folder, self._say = folder, say
        self._number = 0
        folder.mkdir(parents=True)
        self.app.router.add_post("/{path:.*}", self._post)

    async def _post(self, request: web.Request) -> web.Response:
        payload: dict[str, Any] = await request.json()
        said = payload.get("text", "").partition("\n")[0]
        # Of the two only a digest begins with a heading.
        kind = _kind(said, is_digest=payload["blocks"][0]["type"] == "header")
        self._number += 1
        text = json.dumps(payload, ensure_ascii=False, indent=1)
        (self._folder / f"{self._number:02}-{kind}.json").write_text(text, encoding="utf-8")
        self._say(f"{kind} to #desk: {said}")
        return web.Response(text="ok")


class MailSink:
    """A mail server that takes everything and keeps each mail as .eml and its page as .html."""

    def __init__(self, folder: Path, say: Say) -> None:
        self._folder, self._say = folder, say
        self._number = 0
        self.digest: Path | None = None  # Ruth's
        self.update: Path | None = None  # the first one, which answers an alert
        folder.mkdir(parents=True)
        # The controller must know its port before it listens, so a free one is found first.
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def start(self) -> None:
        """Start to listen."""
        self._controller.start()

    def stop(self) -> None:
        """Stop listening."""
        self._controller.stop()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep one mail."""
        message = email.message_from_bytes(envelope.content, policy=default)
        is_digest = "digest" in str(message["List-Id"] or "").lower()
        kind = _kind(str(message["Subject"]), is_digest=is_digest)
        self._number += 1
        to = re.sub(r"\W+", "-", str(envelope.rcpt_tos[0]).partition("@")[0])
        stem = f"{self._number:02}-{kind}-{to}"
        (self._folder / f"{stem}.eml").write_bytes(envelope.content)
        page = message.get_body(("html",))
        if page is not None:
            path = self._folder / f"{stem}.html"
            path.write_text(page.get_content(), encoding="utf-8")
            if is_digest and to == "ruth":
                self.digest = path
            elif kind == "update" and self.update is None:
                self.update = path
        self._say(f"{kind} to {to}: {message['Subject']}")
        return "250 2.0.0 OK"

"""A web server on loopback whose answers a test programs, a WebSub hub, and a server that speaks bytes of choice."""

from __future__ import annotations

import asyncio
import gzip
import hmac
import io
import socket
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web

T = TypeVar("T")
RSS = "application/rss+xml; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answers. `delay` (seconds) comes before the headers, `drip` (seconds) between bytes of the body.

    With an `etag` or `last_modified` a request that already has it gets a 304.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = RSS
    etag: str = ""
    last_modified: str = ""
    gzipped: bool = False
    delay: float = 0.0
    drip: float = 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came in; `at` is on the monotonic clock, in seconds."""

    path: str
    headers: dict[str, str]
    at: float


class _LoopThread:
    """An event loop in a thread of its own, so that a server answers to async and to plain tests alike."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake server")

    def start(self) -> None:
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def stop(self) -> None:
        self.call(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    @staticmethod
    async def _cancel_all() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class FeedServer:
    """Serves programmed answers by path; `with FeedServer() as server:`. Keeps every request.

    A path with several answers gives them in turn and then repeats the last; a path without any is 404.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.asked: list[Asked] = []
        self.at_once = 0  # the most requests that were in the works at one moment
        self._answers: dict[str, list[Answer]] = {}
        self._working = 0
        self._thread = _LoopThread()
        self._runner: web.AppRunner | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._thread.call(self._start())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._runner is not None
        self._thread.call(self._runner.cleanup())
        self._thread.stop()

    def url(self, path: str = "/feed.xml") -> str:
        return f"http://{self.host}:{self.port}{path}"

    def route(self, path: str = "/feed.xml", *answers: Answer) -> str:
        """Set what `path` answers and return its address."""
        self._answers[path] = list(answers)
        return self.url(path)

    def redirect(self, path: str, to: str, status: int = 302) -> str:
        """Let `path` lead to another address and return its own."""
        return self.route(path, Answer(status=status, headers={"Location": to}))

    def count(self, path: str = "/feed.xml") -> int:
        return sum(asked.path == path for asked in self.asked)

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, 0)
        await site.start()
        server: Any = site._server
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(Asked(request.path_qs, dict(request.headers), time.monotonic()))
        self._working += 1
        self.at_once = max(self.at_once, self._working)
        try:
            return await self._answer(request)
        finally:
            self._working -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        programmed = self._answers.get(request.path_qs)
        if not programmed:
            return web.Response(status=404, text="nothing here")
        answer = programmed.pop(0) if len(programmed) > 1 else programmed[0]
        await asyncio.sleep(answer.delay)
        headers = {"Content-Type": answer.content_type, **answer.headers}
        if answer.etag:
            headers["ETag"] = answer.etag
        if answer.last_modified:
            headers["Last-Modified"] = answer.last_modified
        if _has_it(request, answer):
            return web.Response(status=304, headers=headers)
        body = answer.body
        if answer.gzipped:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        if not answer.drip:
            return web.Response(status=answer.status, headers=headers, body=body)
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        for place in range(len(body)):
            await response.write(body[place : place + 1])
            await asyncio.sleep(answer.drip)
        return response


def _has_it(request: web.Request, answer: Answer) -> bool:
    """Whether the request's validators are the answer's; If-None-Match wins (RFC 9110, 13.1.3)."""
    if "If-None-Match" in request.headers:
        return bool(answer.etag) and request.headers["If-None-Match"] == answer.etag
    since = request.headers.get("If-Modified-Since")
    if not since or not answer.last_modified:
        return False
    return parsedate_to_datetime(answer.last_modified) <= parsedate_to_datetime(since)


@dataclass(frozen=True, slots=True)
class Asking:
    """What a hub was asked by a form, and the status with which its question was answered: 0 when it put none."""

    form: dict[str, str]
    status: int = 0
    answer: str = ""


class FakeHub:
    """A WebSub hub; `with FakeHub() as hub:`. It asks back at once, and pushes what the test gives it.

    `status` is what it answers to a form, `lease` the seconds it grants, `reason` that it denies all.
    """

    def __init__(self) -> None:
        self.asked: list[Asking] = []
        self.status, self.lease, self.reason = 202, 86_400, ""
        self.topics: dict[str, str] = {}  # by callback: what it was asked for and may push
        self.secrets: dict[str, str] = {}
        self._thread = _LoopThread()
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._thread.call(self._start())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._runner is not None
        assert self._client is not None
        self._thread.call(self._client.close())
        self._thread.call(self._runner.cleanup())
        self._thread.stop()

    @property
    def modes(self) -> list[str]:
        return [one.form["hub.mode"] for one in self.asked]

    @property
    def callback(self) -> str:
        """The latest callback."""
        return self.asked[-1].form["hub.callback"]

    async def ask_back(self, callback: str, **query: str) -> tuple[int, str]:
        """Put a question to a callback, as `hub.…`; return the status and the answer."""
        return await asyncio.to_thread(
            self._thread.call, self._get(callback, {f"hub.{name}": said for name, said in query.items()})
        )

    async def push(
        self, body: bytes | AsyncIterator[bytes], callback: str = "", signature: str | None = None, **headers: str
    ) -> int:
        """Push to a callback, by default to the latest, signed unless a signature is given; return the status."""
        callback = callback or self.callback
        if signature is None:
            assert isinstance(body, bytes)
            signature = "sha256=" + hmac.new(self.secrets[callback].encode(), body, "sha256").hexdigest()
        sent = {"Content-Type": RSS, **({"X-Hub-Signature": signature} if signature else {}), **headers}
        return await asyncio.to_thread(self._thread.call, self._push(callback, body, sent))

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_post("/", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        server: Any = site._server
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=9))

    async def _serve(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        callback, mode, topic = (form[f"hub.{name}"] for name in ("callback", "mode", "topic"))
        if self.status != 202:
            self.asked.append(Asking(form))
        elif self.reason:
            query = {"hub.mode": "denied", "hub.topic": topic, "hub.reason": self.reason}
            self.asked.append(Asking(form, *await self._get(callback, query)))
        else:
            query = {"hub.mode": mode, "hub.topic": topic, "hub.challenge": "what? <b>"}
            if mode == "subscribe":
                query["hub.lease_seconds"] = str(self.lease)
            said = Asking(form, *await self._get(callback, query))
            self.asked.append(said)
            if said.status == 200 and said.answer == "what? <b>":
                if mode == "subscribe":
                    self.topics[callback], self.secrets[callback] = topic, form["hub.secret"]
                else:
                    self.topics.pop(callback, None)
        return web.Response(status=self.status)

    async def _get(self, callback: str, query: dict[str, str]) -> tuple[int, str]:
        assert self._client is not None
        async with self._client.get(callback, params=query) as answer:
            return answer.status, await answer.text()

    async def _push(self, callback: str, body: bytes | AsyncIterator[bytes], headers: dict[str, str]) -> int:
        assert self._client is not None
        data = io.BytesIO(body) if isinstance(body, bytes) else body
        async with self._client.post(callback, data=data, headers=headers) as answer:
            return answer.status


class RawServer:
    """Answers every connection with the same bytes and hangs up; `with RawServer(b"...") as server:`."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, name="raw server")
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/feed.xml"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)
        self._socket.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed by the test
                return
            with connection:
                connection.settimeout(5)
                try:
                    connection.recv(65536)
                    connection.sendall(self._answer)
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(0.3)
                    connection.recv(65536)  # until the other side hangs up, so that nothing is lost to a reset
                except OSError:  # the client may well have had enough
                    continue


def free_port() -> int:
    """Return a port of loopback on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port

"""Where WebSub hubs ask back and push: /websub/TOKEN. What is pushed waits here, in memory, until it is taken in.

A push is acknowledged once its stories are saved, or once it is on record that the feed is to be polled for them: a
crash between loses nothing. Whatever is turned away, polling finds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass

from fastapi import FastAPI, Request
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response

from monitor.app import App
from monitor.errors import MonitorError
from monitor.hubs import CALLBACKS, is_signed
from monitor.models import HubLease
from monitor.pipeline import take_push
from monitor.pipeline.hubs import confirm, deny, key_of
from monitor.web.guard import BODY_SECONDS

log = logging.getLogger(__name__)

PUSH_LIMIT = 10_000_000  # bytes
CHALLENGE_LIMIT = 1_000  # characters
READ_AT_ONCE = 8  # bodies, one for a hub's lease
A_MINUTE = 60  # pushes for one lease
WAITING, WAITING_BYTES, WAITING_OF_ONE = 200, 32_000_000, 4  # pushes that are not taken in yet
TAKEN_AT_ONCE = 2
ANSWER_WITHIN = 3.0  # seconds; hubs give up after five or more

_CLOSE = {"Connection": "close"}  # what is still on its way is not read


@dataclass(frozen=True, slots=True)
class _Push:
    lease: HubLease
    body: bytes
    content_type: str
    taken: asyncio.Future[bool]  # whether it was taken in


class Inbox:
    """Takes what hubs push, and gives it to the pipeline in `work`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._queue: asyncio.Queue[_Push] = asyncio.Queue(WAITING)
        self._waiting: Counter[str] = Counter()  # pushes by key, those that are being taken in included
        self._bytes = 0
        self._reading: set[str] = set()
        self._counted: Counter[str] = Counter()  # by key, within the minute
        self._minute = -1

    async def confirm(self, request: Request, token: str) -> Response:
        """Answer a hub that asks whether we want what we asked for, or says that it does not push."""
        lease, asked = await self._lease(token), request.query_params
        mode, topic, challenge = (asked.get(f"hub.{name}", "") for name in ("mode", "topic", "challenge"))
        if lease is None or len(challenge) > CHALLENGE_LIMIT:
            return Response(status_code=404)
        if mode == "denied":
            known = await self._app.db(deny, self._app, lease, topic, asked.get("hub.reason", ""))
            return Response(status_code=200 if known else 404)
        seconds = asked.get("hub.lease_seconds", "")
        known = challenge != "" and await self._app.db(confirm, self._app, lease, mode, topic, seconds)
        return PlainTextResponse(challenge) if known else Response(status_code=404)

    async def receive(self, request: Request, token: str) -> Response:
        """Take a push. One with a wrong signature is acknowledged too, and dropped (WebSub, 8)."""
        lease = await self._lease(token)
        if lease is None or lease.state == "leaving" or lease.verified_at is None:
            return Response(status_code=410, headers=_CLOSE)  # the hub is to forget us
        key = lease.key
        if self._is_flood(key):
            return Response(status_code=429, headers={"Retry-After": "60", **_CLOSE})
        if key in self._reading or len(self._reading) >= READ_AT_ONCE:
            return Response(status_code=503, headers={"Retry-After": "10", **_CLOSE})
        self._reading.add(key)
        try:
            body = await _body(request)
        finally:
            self._reading.discard(key)
        if isinstance(body, Response):
            return body
        if not is_signed(body, request.headers.get("X-Hub-Signature", ""), lease.secret):
            log.warning("%s: a push with a wrong signature was dropped", lease.feed)
            await self._app.db(self._app.store.hubs.forged, key)
        elif not await self._taken(lease, body, request.headers.get("Content-Type", "")[:200]):
            await self._app.db(self._app.store.hubs.pinged, key, self._app.now())
        return Response(status_code=202)

    async def _taken(self, lease: HubLease, body: bytes, content_type: str) -> bool:
        """Have a push taken in; False where there is no room for it, or it still waits after `ANSWER_WITHIN`."""
        if not self._has_room(lease.key, len(body)):
            return False
        push = _Push(lease, body, content_type, asyncio.get_running_loop().create_future())
        self._waiting[lease.key] += 1
        self._bytes += len(body)
        self._queue.put_nowait(push)
        await asyncio.wait([push.taken], timeout=ANSWER_WITHIN)
        return push.taken.done() and push.taken.result()

    async def _lease(self, token: str) -> HubLease | None:
        # Not in the thread that writes: whoever guesses at tokens takes none of its time.
        return await asyncio.to_thread(self._app.store.hubs.get, key_of(token))

    def _is_flood(self, key: str) -> bool:
        minute = int(asyncio.get_running_loop().time() // 60)
        if minute != self._minute:
            self._minute, self._counted = minute, Counter()
        self._counted[key] += 1
        return self._counted[key] > A_MINUTE

    def _has_room(self, key: str, size: int) -> bool:
        room = not self._queue.full() and self._bytes + size <= WAITING_BYTES
        return room and self._waiting[key] < WAITING_OF_ONE

    async def work(self) -> None:
        """Take in what waits, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(TAKEN_AT_ONCE):
                group.create_task(self._take_in_turn())

    async def _take_in_turn(self) -> None:
        while True:
            push = await self._queue.get()
            done = False
            try:
                await take_push(self._app, push.lease, push.body, push.content_type)
                done = True
            except MonitorError as error:
                log.error("%s: a push could not be taken in; polling finds it: %s", push.lease.feed, error)
            except Exception:
                # Whatever a push did, the next one is taken in.
                log.exception("%s: a push could not be taken in; polling finds it", push.lease.feed)
            finally:
                self._waiting[push.lease.key] -= 1
                self._waiting += Counter()  # without those that are at nothing
                self._bytes -= len(push.body)
                push.taken.set_result(done)


async def _body(request: Request) -> bytes | Response:
    """Return the body of a push, or what is answered instead."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > PUSH_LIMIT:
                    return Response(status_code=413, headers=_CLOSE)
    except TimeoutError:
        return Response(status_code=408, headers=_CLOSE)
    except ClientDisconnect:
        return Response(status_code=400)
    return bytes(body)


def add_callbacks(app: FastAPI, inbox: Inbox) -> None:
    """Let hubs reach `inbox`."""

    @app.get(CALLBACKS + "{token}")
    async def confirm(request: Request, token: str) -> Response:
        return await inbox.confirm(request, token)

    @app.post(CALLBACKS + "{token}")
    async def receive(request: Request, token: str) -> Response:
        return await inbox.receive(request, token)

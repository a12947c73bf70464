"""The outbox goes out: claim → render → send → finish."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from monitor.app import OPERATORS, SENDERS, App, channel_url
from monitor.config import Config
from monitor.dispatch import Alert, Digest, Notice, held_until
from monitor.errors import RenderError, SendError
from monitor.models import Delivery
from monitor.pipeline.outgoing import Value, delivery, value_of
from monitor.render import MailMessage, PlainMessage, SlackMessage
from monitor.send import Outcome
from monitor.timing import retry_delay

log = logging.getLogger(__name__)

LEASE = 120.0  # seconds; longer than any server may take to answer each step of a message
MOST_ATTEMPTS = 12
UNREACHABLE = "is no longer declared, so this cannot be delivered"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one message."""

    delivery: Delivery
    outcome: Outcome


async def deliver_due(app: App) -> list[asyncio.Task[Delivered | None]]:
    """Claim what is due, as far as there are free senders, and start sending it; return the tasks."""
    async with app.claiming:  # two claims at once would send two messages of one channel side by side
        await app.db(_give_up_late, app, app.now())
        room = SENDERS - len(app.sending)
        if room <= 0:
            return []
        claimed = await app.db(app.store.outbox.claim, app.now(), LEASE, room, tuple(app.sending))
        tasks = []
        for row in claimed:
            lane = f"{row.subscriber}/{row.channel}"
            app.sending.add(lane)
            task = asyncio.create_task(_deliver(app, row), name=f"deliver {row.id}")
            task.add_done_callback(partial(_free, app, lane))
            tasks.append(task)
        return tasks


def _give_up_late(app: App, now: datetime) -> None:
    """Give up what was not delivered in time, and tell the operators of it once."""
    late = [row for row in app.store.outbox.expire(now) if row.subscriber != OPERATORS]
    if not late:
        return
    names = ", ".join(sorted({row.subscriber for row in late}))
    log.error("%d messages to %s were not delivered in time, and are given up", len(late), names)
    shown = tuple(f"{row.kind} “{row.subject or row.key}” for {row.subscriber} by {row.channel}" for row in late[:20])
    notice = Notice(
        f"{len(late)} messages were not delivered in time",
        (*shown, "They are kept: `monitor deliveries --state dead` shows them, and `monitor retry ID` sends one."),
    )
    notify_operators(app, f"expired:{late[0].key}:{now.isoformat()}", notice, now)


def _free(app: App, lane: str, _task: asyncio.Task[Delivered | None]) -> None:
    app.sending.discard(lane)
    app.wake_delivery.set()


async def _deliver(app: App, row: Delivery) -> Delivered | None:
    assert row.id is not None
    outbox, fence = app.store.outbox, row.fence
    if await app.db(_turned_off, app, row):
        await app.db(outbox.cancel, row.id, fence, app.now(), "turned off by the link in a mail")
        log.info("%s: not sent, since it was turned off meanwhile", _name(row))
        return None
    outcome = await app.in_sender(_attempt, app, app.config, row)
    now = app.now()
    if outcome.kind == "lost":
        return None
    if outcome.kind == "sent":
        await app.db(outbox.finish, row.id, fence, now, outcome.code, outcome.detail, outcome.receipt)
        log.info("%s: accepted by the server (%s)", _name(row), outcome.receipt or outcome.code or "no receipt")
    elif outcome.kind == "permanent" or row.attempts >= MOST_ATTEMPTS:
        await app.db(outbox.give_up, row.id, fence, now, outcome.code, outcome.detail)
        log.error("%s: given up: %s", _name(row), outcome.detail or outcome.code)
        if row.subscriber != OPERATORS:
            await app.db(notify_operators, app, f"dead:{row.key}:{fence}", _dead_notice(row, outcome), now)
    else:
        delay = retry_delay(row.attempts, outcome.retry_after, app.rng)
        at = quiet_after(app.config, row, now + timedelta(seconds=delay))
        unsure = outcome.kind == "unknown"
        await app.db(outbox.retry, row.id, fence, at, outcome.code, outcome.detail, unsure)
        log.warning(
            "%s: not accepted (%s); the next try at %s",
            _name(row),
            outcome.detail or outcome.code,
            f"{at:%H:%M:%S} UTC",
        )
    return Delivered(row, outcome)


def _turned_off(app: App, row: Delivery) -> bool:
    """Whether the subscriber has turned off, since it was made, all that a message is about."""
    off = app.store.slots.muted().get(row.subscriber, frozenset())
    return "*" in off or (row.kind == "alert" and bool(row.topics) and off.issuperset(row.topics))


def quiet_after(config: Config, row: Delivery, at: datetime) -> datetime:
    """Return `at`, or for an alert that would then come in its reader's quiet hours the end of these."""
    subscriber = config.subscribers.get(row.subscriber)
    if row.kind != "alert" or subscriber is None:
        return at
    return held_until(config, subscriber, row.topics, at) or at


def _name(row: Delivery) -> str:
    who = row.subscriber or "operators"
    return f"{row.kind} {row.id} for {who} by {row.channel}"


def _attempt(app: App, config: Config, row: Delivery) -> Outcome:
    """Render and send one message; every failure is an Outcome. Runs in a sending thread."""
    assert row.id is not None
    url = channel_url(config, row.subscriber, row.channel)
    if url is None:
        return Outcome("permanent", "undeclared", f"channel {row.channel} of {row.subscriber} {UNREACHABLE}")
    delivery_id, fence = row.id, row.fence

    def on_wire() -> bool:
        return app.db_wait(app.store.outbox.mark_wire, delivery_id, fence, app.now())

    try:
        value = value_of(row)
        message = render(app, config, value, url)
        thread = ""
        if isinstance(value, Alert) and value.story.event_key and app.sender.keeps_threads(url):
            thread = app.store.outbox.first_receipt(row, value.story.event_key)
        return app.sender.send(url, message, row.message_id, row.created_at, on_wire, thread)
    except (RenderError, SendError) as error:
        # Both are mended by a change of templates or configuration, which the message waits for.
        return Outcome("retry", type(error).__name__, str(error))
    except Exception as error:
        log.exception("%s: the attempt failed unexpectedly", _name(row))
        return Outcome("retry", type(error).__name__, "the attempt failed unexpectedly; the program's log says how")


def render(app: App, config: Config, value: Value, url: str) -> MailMessage | SlackMessage | PlainMessage:
    """Return the message for a channel's address. Raises RenderError or SendError."""
    subscriber = None if isinstance(value, Notice) else config.subscribers.get(value.subscriber)
    reader = app.reader(subscriber)
    name = "" if isinstance(value, Notice) else value.subscriber
    links = app.links(name, topics_of(value)) if name else app.links(name, ())
    match app.sender.kind(url):
        case "mail":
            return app.renderer.mail(value, reader, app.site, links, app.now())
        case "slack":
            return app.renderer.slack(value, reader, app.site, links, app.now())
        case "plain":
            return app.renderer.plain(value, reader, app.site, links, app.now(), app.sender.room(url))


def topics_of(value: Value) -> tuple[str, ...]:
    """Return the names of the topics that a message is about."""
    if isinstance(value, Alert):
        return tuple(topic.name for topic in value.topics)
    if isinstance(value, Digest):
        return tuple(s.topic.name for s in value.sections) + tuple(topic.name for topic in value.quiet)
    return ()


def _dead_notice(row: Delivery, outcome: Outcome) -> Notice:
    return Notice(
        f"A message to {row.subscriber} was given up",
        (
            f"The {row.kind} “{row.subject or row.key}” for {row.subscriber} by channel {row.channel} was not "
            f"delivered in {row.attempts} attempt{'s' if row.attempts > 1 else ''}: {outcome.detail or outcome.code}.",
            f"It is kept. When the cause is mended, `monitor retry {row.id}` sends it again.",
        ),
    )


def notify_operators(app: App, key: str, notice: Notice, now: datetime) -> None:
    """Put a message to all operators into the outbox, once for each `key`."""
    for row in notices(app, key, notice, now):
        app.store.outbox.add(row)


def notices(app: App, key: str, notice: Notice, now: datetime) -> list[Delivery]:
    """Return the outbox's rows for a message to all operators."""
    return [
        delivery(app, f"notice:{key}:{index}", "notice", OPERATORS, str(index), notice, now, subject=notice.title)
        for index in range(len(app.config.settings.operators))
    ]


async def drain(app: App, tasks: Iterable[asyncio.Task[Delivered | None]] = ()) -> list[Delivered]:
    """Send all that is due now, and return what became of it."""
    waiting = set(tasks)
    done: list[Delivered] = []
    while True:
        waiting |= set(await deliver_due(app))
        if not waiting:
            return done
        finished, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        done += [result for task in finished if (result := task.result()) is not None]

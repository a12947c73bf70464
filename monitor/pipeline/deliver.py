"""The outbox goes out: claim → render → send → finish."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import ParamSpec, TypeVar
from zoneinfo import ZoneInfo

from monitor.app import OPERATORS, SENDERS, App, address_of
from monitor.config import Config
from monitor.dispatch import (
    ANY_TOPIC,
    AT_ONCE,
    Alert,
    Confirmation,
    Digest,
    Notice,
    Standing,
    VolumeAlert,
    held_until,
    silenced_until,
)
from monitor.endpoints import OPEN_AFTER, SUSPEND_AFTER, is_down, knows_repeats
from monitor.errors import RenderError, SendError, StoreError
from monitor.models import Delivery
from monitor.pipeline.escalate import escalate_due
from monitor.pipeline.outages import forget_undeclared, tell_of_outages
from monitor.pipeline.outgoing import Value, given_up, notices, value_of, whither
from monitor.render import Links, MailMessage, PlainMessage, Reader, SlackMessage
from monitor.send import Outcome
from monitor.store import SUSPENDED, UNKNOWN
from monitor.timing import SERVER_DELAY_CAP, retry_delay

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

LEASE = 60.0  # seconds; of what is still being sent it is renewed, so this is how long a crash keeps it waiting
MOST_ATTEMPTS = 12
TIDY = timedelta(seconds=1)  # between two looks at what waits
PACED = timedelta(seconds=10)  # the longest time that an endpoint's pace makes a message wait
UNREACHABLE = "is no longer declared, so this cannot be delivered"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one message."""

    delivery: Delivery
    outcome: Outcome


async def deliver_due(app: App) -> list[asyncio.Task[Delivered | None]]:
    """Claim what is due, as far as there are free senders, and start sending it; return the tasks."""
    async with app.claiming:  # two claims at once would send two messages of one channel side by side
        await app.db(_tidy, app, app.now())
        room = SENDERS - len(app.sending)
        if room <= 0:
            return []
        busy, doubtful, now = tuple(app.sending), max(1, SENDERS // 2), app.now()
        claimed = await app.db(app.store.outbox.claim, now, LEASE, room, busy, doubtful, app.worker)
        turn = await app.db(app.store.outbox.next_turn, now) if len(claimed) < room else None
        if turn is not None and turn - now <= TIDY:
            # The next tick comes up to a second later, which would halve the pace.
            asyncio.get_running_loop().call_later((turn - now).total_seconds(), app.wake_delivery.set)
        tasks = []
        for row in claimed:
            lane = f"{row.subscriber}/{row.channel}"
            app.sending.add(lane)
            task = asyncio.create_task(_deliver(app, row), name=f"deliver {row.id}")
            task.add_done_callback(partial(_free, app, lane))
            tasks.append(task)
        return tasks


def _tidy(app: App, now: datetime) -> None:
    """Look, once a second at most, after what waits: new addresses, a clock that went back, what is late or must go on.

    Uses the database.
    """
    before, config = app.tidied or (None, None)
    if config is app.config and before is not None and timedelta(0) <= now - before < TIDY:
        return
    if config is not app.config:
        app.store.outbox.readdress(partial(whither, app.config), now)
        forget_undeclared(app)
    if before is None or now < before:
        app.store.outbox.set_clock_back(now)
    _give_up_late(app, now)
    escalate_due(app, now)
    tell_of_outages(app, now)
    app.tidied = now, app.config


def _give_up_late(app: App, now: datetime) -> None:
    """Give up what was not delivered in time, and tell the operators of it once."""
    late = [row for row in app.store.outbox.expire(now) if row.subscriber != OPERATORS or row.kind == "escalation"]
    if not late:
        return
    names = ", ".join(sorted({_who(row) for row in late}))
    log.error("%d messages to %s were not delivered in time, and are given up", len(late), names)
    shown = tuple(f"{row.kind} “{row.subject or row.key}” for {_who(row)} by {row.channel}" for row in late[:20])
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
    if await app.db(_not_wanted, app, row):
        return None
    outcome, asked = await app.in_sender(_attempt, app, app.config, row)
    if outcome.kind == "lost":
        return None
    if asked:
        await _kept(app, _note_endpoint, app, row, outcome)
    now, said = app.now(), outcome.detail or outcome.code
    # An outage is no fault of the message: the breaker spaces its tries, and its time alone ends them.
    counts = not (asked and outcome.kind == "retry" and _is_down(outcome))
    if outcome.kind == "sent":
        if await _kept(app, outbox.finish, row.id, fence, now, outcome.code, outcome.detail, outcome.receipt):
            log.info("%s: accepted by the server (%s)", _name(row), outcome.receipt or outcome.code or "no receipt")
        else:
            log.warning("%s: accepted by the server, but after its claim had ended: it was sent twice", _name(row))
    elif outcome.kind == "permanent" or (counts and row.attempts >= MOST_ATTEMPTS):
        await _kept(app, outbox.give_up, row.id, fence, now, outcome.code, outcome.detail)
        log.error("%s: given up: %s", _name(row), said)
        if outcome.bounce == "hard" and await _kept(app, _suspend, app, row, outcome, now):
            return Delivered(row, outcome)  # of which the operators hear once, and not message by message
        if row.kind != "confirmation" and (row.subscriber != OPERATORS or row.kind == "escalation"):
            await _kept(app, notify_operators, app, f"dead:{row.key}:{fence}", _dead_notice(row, outcome), now)
    elif outcome.kind == "unknown" and app.config.settings.on_unknown == "hold" and not knows_repeats(row.endpoint):
        await _kept(app, outbox.hold, row.id, fence, now, UNKNOWN, f"it may have arrived: {said}", True)
        log.error("%s: it may have arrived, so it is held: %s", _name(row), said)
        await _kept(app, notify_operators, app, f"held:{row.key}:{fence}", _held_notice(row, said), now)
    else:
        delay = retry_delay(row.attempts, outcome.retry_after, app.rng)
        at = quiet_after(app.config, row, now + timedelta(seconds=delay))
        unsure = outcome.kind == "unknown"
        await _kept(app, outbox.retry, row.id, fence, at, outcome.code, outcome.detail, unsure, counts)
        log.warning("%s: not accepted (%s); the next try at %s", _name(row), said, f"{at:%H:%M:%S} UTC")
    return Delivered(row, outcome)


async def _kept(app: App, record: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Record what became of a message. While the database cannot be used, that is tried again: a message that was sent
    and not recorded would be sent twice."""
    for pause in (0.5, 1, 2, 4, 8, 16):
        try:
            return await app.db(record, *args, **kwargs)
        except StoreError as error:
            log.error("what became of a message cannot be recorded yet: %s", error)
            await asyncio.sleep(pause)
    return await app.db(record, *args, **kwargs)


def _not_wanted(app: App, row: Delivery) -> bool:
    """Whether a claimed message is not to go out now; it is then put where it belongs. Uses the database."""
    assert row.id is not None
    outbox, now = app.store.outbox, app.now()
    standing = app.store.policies.standing(now)
    why = _called_off(row, standing)
    if why:
        outbox.cancel(row.id, row.fence, now, why)
        log.info("%s: not sent: meanwhile %s", _name(row), why)
        return True
    refused = app.store.endpoints.suspended().get(row.recipient)
    if refused is not None:
        outbox.hold(row.id, row.fence, now, SUSPENDED, f"the address refuses messages: {refused.error}", False)
        log.warning("%s: held, since its address refuses messages (%s)", _name(row), refused.error)
        return True
    # What was on its way when its reader went away, or was to wait for its server, which came back meanwhile.
    away = standing.paused.get(row.subscriber) if row.kind != "confirmation" else None
    at = away or (quiet_after(app.config, row, now) if row.attempts > 1 else now)
    if at > now:
        expires_at = max(row.expires_at, given_up(row.kind, away)) if away else row.expires_at
        outbox.put_back(row.id, row.fence, at, expires_at)
        log.info("%s: not sent before %s", _name(row), f"{at:%Y-%m-%d %H:%M} UTC")
        return True
    return False


def _note_endpoint(app: App, row: Delivery, outcome: Outcome) -> None:
    """Record how the endpoint is: a message that it took says so by itself. Uses the database."""
    endpoints, now = app.store.endpoints, app.now()
    if outcome.kind == "permanent":
        endpoints.answered(row.endpoint, now)
    elif outcome.kind in ("retry", "unknown"):
        down = _is_down(outcome)
        if not down:
            endpoints.answered(row.endpoint, now)
        if down or outcome.retry_after is not None:
            rest = outcome.retry_after and min(outcome.retry_after, SERVER_DELAY_CAP)
            error = outcome.detail or outcome.code or "no answer"
            was = endpoints.failed(row.endpoint, now, error, down=down, rest=rest)
            if down and was.failures == OPEN_AFTER:
                log.error("%s seems to be down; all messages by it wait: %s", row.endpoint, error)


def _is_down(outcome: Outcome) -> bool:
    """Whether an attempt that was not taken found nobody there who takes anything."""
    return not outcome.bounce and is_down(outcome.code)


def _suspend(app: App, row: Delivery, outcome: Outcome, now: datetime) -> bool:
    """Count a refusal for good; once too often, nothing is sent to the address and the operators are told. Uses the
    database. True: they were told of it now."""
    said = outcome.detail or outcome.code
    if row.subscriber == OPERATORS or not app.store.endpoints.refused(row, now, said):
        return False
    log.error("channel %s of %s is suspended: %s", row.channel, row.subscriber, said)
    notice = Notice(
        f"Nothing is sent to {row.subscriber} by {row.channel} any more",
        (
            f"The address of channel {row.channel} of {row.subscriber} has refused {SUSPEND_AFTER} messages in a row, "
            f"the last one with: {said}.",
            "What is for it is held from now on. Put another address into subscribers.yaml, or, when the cause is "
            f"mended, run `monitor retry {row.id}`: that sends what is held, too.",
        ),
    )
    notify_operators(app, f"suspended:{row.recipient}:{now.isoformat()}", notice, now)
    return True


def _called_off(row: Delivery, standing: Standing) -> str:
    """Return why a message is not to go out any more: all that it is about was turned off or silenced since it was
    made; "": it is."""
    if row.kind == "confirmation":
        return ""  # one who left may come back
    off = standing.muted.get(row.subscriber, frozenset())
    about = row.topics if row.kind in AT_ONCE else ()
    if ANY_TOPIC in off or (about and off.issuperset(about)):
        return "turned off by the link in a mail"
    if about and standing.silenced.keys() >= {*about}:
        return silenced_until(min(standing.silenced[topic] for topic in about))
    return ""


def quiet_after(config: Config, row: Delivery, at: datetime) -> datetime:
    """Return `at`, or for an alert that would then come in its reader's quiet hours the end of these."""
    subscriber = config.subscribers.get(row.subscriber)
    if row.kind not in AT_ONCE or subscriber is None:
        return at
    return held_until(config, subscriber, row.topics, at) or at


def _who(row: Delivery) -> str:
    return "escalation" if row.kind == "escalation" else row.subscriber or "operators"


def _name(row: Delivery) -> str:
    return f"{row.kind} {row.id} for {_who(row)} by {row.channel}"


def _attempt(app: App, config: Config, row: Delivery) -> tuple[Outcome, bool]:
    """Render and send one message; every failure is an Outcome. Also returns whether the outcome is the endpoint's
    doing, and not our own. Runs in a sending thread."""
    assert row.id is not None
    url = address_of(config, row.kind, row.subscriber, row.channel)
    if url is None:
        return Outcome("permanent", "undeclared", f"channel {row.channel} of {_who(row)} {UNREACHABLE}"), False
    delivery_id, fence = row.id, row.fence

    def on_wire() -> bool:
        return app.db_wait(app.store.outbox.mark_wire, delivery_id, fence, app.now(), LEASE)

    def on_part(parts: int) -> bool:
        try:
            return app.db_wait(app.store.outbox.mark_part, delivery_id, fence, parts)
        except StoreError as error:  # the next part may still go, and `finish` be written
            log.error("%s: that %d of its parts went cannot be recorded: %s", _name(row), parts, error)
            return True

    try:
        value = value_of(row)
        message = render(app, config, value, url, row)
        thread = ""
        if isinstance(value, Alert) and value.story.event_key and app.sender.keeps_threads(url):
            thread = app.store.outbox.first_receipt(row, value.story.event_key)
        dated = row.dated_at or row.created_at
        return app.sender.send(url, message, row.message_id, dated, on_wire, thread, row.parts, on_part), True
    except (RenderError, SendError) as error:
        # Both are mended by a change of templates or configuration, which the message waits for.
        return Outcome("retry", type(error).__name__, str(error)), False
    except Exception as error:
        log.exception("%s: the attempt failed unexpectedly", _name(row))
        failed = Outcome("retry", type(error).__name__, "the attempt failed unexpectedly; the program's log says how")
        return failed, False


def render(
    app: App, config: Config, value: Value, url: str, row: Delivery | None = None
) -> MailMessage | SlackMessage | PlainMessage:
    """Return the message for a channel's address, with an acknowledging link where its outbox `row` asks for one.

    It reads as of the time of its first attempt, so that all attempts are the same message, cut at the same places.
    Raises RenderError or SendError.
    """
    reader, links, now = setting(app, config, value, row)
    match app.sender.kind(url):
        case "mail":
            return app.renderer.mail(value, reader, app.site, links, now)
        case "slack":
            return app.renderer.slack(value, reader, app.site, links, now)
        case "plain":
            return app.renderer.plain(value, reader, app.site, links, now, app.sender.room(url))


def setting(app: App, config: Config, value: Value, row: Delivery | None = None) -> tuple[Reader, Links, datetime]:
    """Return who reads a message, with which links, and as of when (see `render`)."""
    subscriber = None if isinstance(value, Notice) else config.subscribers.get(value.subscriber)
    reader = app.reader(subscriber)
    name = "" if isinstance(value, Notice) else value.subscriber
    now = row.dated_at if row is not None and row.dated_at is not None else app.now()
    links = app.links(name, topics_of(value) if name else (), now)
    if isinstance(value, Confirmation):
        zone = ZoneInfo(config.settings.timezone)
        reader = Reader(value.subscriber, value.channel, zone, value.language)
        links = Links("", {}, app.preferences_link(name, now) if value.is_known else app.confirm_link(name, now))
    if row is not None and row.kind == "escalation":
        why = value.unacknowledged if isinstance(value, Alert) else None
        reader = replace(reader, title=row.channel, language=why.language if why else reader.language)
    if row is not None and (row.kind == "escalation" or row.escalate_at is not None):
        links = replace(links, acknowledge=app.acknowledge_link(row.subscriber or row.channel, row.incident))
    return reader, links, now


def topics_of(value: Value) -> tuple[str, ...]:
    """Return the names of the topics that a message is about."""
    if isinstance(value, Alert):
        return tuple(topic.name for topic in value.topics)
    if isinstance(value, VolumeAlert):
        return (value.topic.name,)
    if isinstance(value, Digest):
        return tuple(s.topic.name for s in value.sections) + tuple(topic.name for topic in value.quiet)
    return ()


def _dead_notice(row: Delivery, outcome: Outcome) -> Notice:
    return Notice(
        f"A message to {_who(row)} was given up",
        (
            f"The {row.kind} “{row.subject or row.key}” for {_who(row)} by channel {row.channel} was not "
            f"delivered in {row.attempts} attempt{'s' if row.attempts > 1 else ''}: {outcome.detail or outcome.code}.",
            f"It is kept. When the cause is mended, `monitor retry {row.id}` sends it again.",
        ),
    )


def _held_notice(row: Delivery, said: str) -> Notice:
    return Notice(
        f"A message to {_who(row)} may have arrived, and is held",
        (
            f"The {row.kind} “{row.subject or row.key}” for {_who(row)} by channel {row.channel} went out, and no "
            f"answer came: {said}.",
            f"`monitor retry {row.id}` sends it again, `monitor cancel {row.id}` leaves it at that.",
        ),
    )


def notify_operators(app: App, key: str, notice: Notice, now: datetime) -> None:
    """Put a message to all operators into the outbox, once for each `key`."""
    for row in notices(app, key, notice, now):
        app.store.outbox.add(row)


async def drain(app: App, tasks: Iterable[asyncio.Task[Delivered | None]] = ()) -> list[Delivered]:
    """Send all that is due now, each endpoint at its pace, and return what became of it."""
    waiting = set(tasks)
    done: list[Delivered] = []
    while True:
        waiting |= set(await deliver_due(app))
        if not waiting:
            now = app.now()
            turn = await app.db(app.store.outbox.next_turn, now)
            if turn is None or turn - now > PACED:
                return done
            await asyncio.sleep((turn - now).total_seconds() + 0.01)
            if app.now() <= now:  # a clock that stands still never lets it have its turn
                return done
            continue
        finished, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        done += [result for task in finished if (result := task.result()) is not None]

"""Messages on their way: values ↔ the outbox's rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from monitor.app import OPERATORS, App, address_of
from monitor.config import Config
from monitor.dispatch import Alert, Confirmation, Digest, Notice, StoryView, VolumeAlert, alert_key
from monitor.endpoints import endpoint_of, recipient_of
from monitor.errors import RenderError
from monitor.models import Delivery, Story
from monitor.snippets import snippet
from monitor.store import Window
from monitor.text import Evidence

Value = Alert | Digest | VolumeAlert | Notice | Confirmation
_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    "alert": TypeAdapter(Alert),
    "digest": TypeAdapter(Digest),
    "volume": TypeAdapter(VolumeAlert),
    "notice": TypeAdapter(Notice),
    "escalation": TypeAdapter(Alert),
    "confirmation": TypeAdapter(Confirmation),
}
_DAYS = {
    "alert": 3,
    "digest": 2,
    "volume": 2,
    "notice": 3,
    "escalation": 3,
    "confirmation": 1,
}  # after which a message is given up


def message_id(key: str, host: str) -> str:
    """Return the Message-ID of a delivery's key, without brackets: the same for every attempt, and after restarts."""
    return f"{hashlib.sha256(key.encode()).hexdigest()[:32]}@{host}"


def delivery(
    app: App,
    key: str,
    kind: str,
    subscriber: str,
    channel: str,
    value: Value,
    now: datetime,
    not_before: datetime | None = None,
    topics: tuple[str, ...] = (),
    subject: str = "",
) -> Delivery:
    """Return the outbox's row for a message that is to go out at `not_before`, or now."""
    due = not_before or now
    row = Delivery(
        key=key,
        kind=kind,
        subscriber=subscriber,
        channel=channel,
        topics=list(topics),
        subject=subject,
        message_id=message_id(key, app.mail_host),
        payload=_ADAPTERS[kind].dump_python(value, mode="json"),
        created_at=now,
        next_attempt_at=due,
        expires_at=given_up(kind, due),
    )
    row.endpoint, row.recipient = whither(app.config, kind, subscriber, channel)
    return row


def given_up(kind: str, due: datetime) -> datetime:
    """Return when a message that is due then is given up."""
    return due + timedelta(days=_DAYS[kind])


def whither(config: Config, kind: str, subscriber: str, channel: str) -> tuple[str, str]:
    """Return the endpoint and the recipient of messages as their channel is declared now; empty: it no longer is."""
    url = address_of(config, kind, subscriber, channel)
    return ("", "") if url is None else (endpoint_of(url), recipient_of(url))


def alert_delivery(app: App, alert: Alert, key: str, not_before: datetime | None, now: datetime) -> Delivery:
    """Return the outbox's row for an alert; `key` is that of its decision."""
    row = delivery(
        app,
        alert_key(alert.subscriber, alert.channel, key),
        "alert",
        alert.subscriber,
        alert.channel,
        alert,
        now,
        not_before,
        tuple(topic.name for topic in alert.topics),
        alert.story.title[:200],
    )
    # The same for all who are told of it, so that one of them acknowledges it for all.
    row.incident = row.key.rpartition(":")[2]
    if (topic := escalating(app.config, row.topics)) is not None:
        row.escalate_at = row.next_attempt_at + timedelta(seconds=wait_of(app.config, topic))
    return row


def escalating(config: Config, topics: Iterable[str]) -> str | None:
    """Return the topic whose rule counts for an alert that must be acknowledged: the most impatient one."""
    return min((t for t in topics if config.escalation(t)), key=lambda t: wait_of(config, t), default=None)


def wait_of(config: Config, topic: str) -> float:
    """Return the seconds that an alert of a topic waits to be acknowledged."""
    rule = config.topics[topic].escalate
    assert rule is not None  # it is one of those that escalate
    return rule.after


def waits_yet(row: Delivery) -> bool:
    """Whether nobody has begun to send a message, so that more may go into it."""
    return not (row.attempts or row.maybe_dup or row.parts) and row.state in ("pending", "held")


def gather(row: Delivery, fresh: Delivery) -> None:
    """Put what `fresh` tells into the waiting alert `row`, at the earlier time of the two.

    A story that it tells of already is there once, as `fresh` has it. An update goes on with what is new since, and
    begins with the story that has it.
    """
    before, after = value_of(row), value_of(fresh)
    assert isinstance(before, Alert)  # keys of alerts are of no other kind
    assert isinstance(after, Alert)
    stories = {story.id: story for story in (before.story, *before.more, after.story)}
    if before.news:
        stories = {after.story.id: after.story} | stories
    first, *more = stories.values()
    merged = replace(
        before,
        story=first,
        more=tuple(more),
        news=before.news and tuple(dict.fromkeys((*before.news, *after.news))),
        topics=tuple({topic.name: topic for topic in (*before.topics, *after.topics)}.values()),
        entities=tuple(dict.fromkeys((*before.entities, *after.entities))),
        reason=after.reason if fresh.next_attempt_at < row.next_attempt_at else before.reason or after.reason,
    )
    row.payload = _ADAPTERS[row.kind].dump_python(merged, mode="json")
    row.topics = list(dict.fromkeys((*row.topics, *fresh.topics)))
    row.subject = first.title[:200]
    row.next_attempt_at = min(row.next_attempt_at, fresh.next_attempt_at)
    if fresh.escalate_at is not None:
        row.escalate_at = min(fresh.escalate_at, row.escalate_at or fresh.escalate_at)


def revive(row: Delivery, fresh: Delivery) -> bool:
    """Let a message that was cancelled, and so told nothing, go out as `fresh`, whose key it has; False for another."""
    if row.state != "cancelled" or row.maybe_dup:
        return False
    row.state, row.attempts, row.parts, row.finished_at = fresh.state, 0, 0, None
    row.code, row.detail, row.payload = fresh.code, fresh.detail, fresh.payload
    row.created_at, row.next_attempt_at, row.expires_at = fresh.created_at, fresh.next_attempt_at, fresh.expires_at
    row.topics, row.subject, row.escalate_at = fresh.topics, fresh.subject, fresh.escalate_at
    return True


def notices(app: App, key: str, notice: Notice, now: datetime) -> list[Delivery]:
    """Return the outbox's rows for a message to all operators."""
    return [
        delivery(app, f"notice:{key}:{index}", "notice", OPERATORS, str(index), notice, now, subject=notice.title)
        for index in range(len(app.config.settings.operators))
    ]


def value_of(row: Delivery) -> Value:
    """Return what a row is about. Raises RenderError for one that a later version of the program wrote."""
    try:
        value: Value = _ADAPTERS[row.kind].validate_python(row.payload)
    except (KeyError, ValidationError) as error:
        raise RenderError(f"delivery {row.id} ({row.kind}) was written by another version of News Monitor") from error
    return value


def view(
    config: Config, story: Story, evidence: Sequence[Evidence], others: tuple[str, ...], event_key: str = ""
) -> StoryView:
    """Return a story as a message shows it, with the passage that holds most of the matched words.

    `others` are the other outlets that report its event: it weighs as much as they and the story's own together.
    """
    assert story.id is not None
    regards = [config.weights.get(source, 1.0) for source in (story.source, *others)]
    passage, spans = snippet(story.summary, story.text, evidence)
    in_title = tuple(e for e in evidence if e.field == "title")
    return StoryView(
        id=story.id,
        event_id=story.event_id or 0,
        title=story.title,
        url=story.url,
        source=story.source,
        snippet=passage,
        language=story.language,
        at=story.effective_at,
        evidence=(*in_title, *spans),
        others=others,
        edited=story.edits > 0,
        page=story.page_at is not None and any(e.field == "text" for e in evidence),
        weight=sum(regards),
        regard=regards[0],
        event_key=event_key,
    )


def with_first(work: Window, stories: Iterable[StoryView]) -> tuple[StoryView, ...]:
    """Return stories that know the earliest report of their event, which another outlet may have had."""
    shown = tuple(stories)
    first = work.first_reports({story.event_id for story in shown if story.others})
    return tuple(replace(one, reports=(first[one.event_id],)) if one.event_id in first else one for one in shown)

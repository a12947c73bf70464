"""Messages on their way: values ↔ the outbox's rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from monitor.app import App
from monitor.dispatch import Alert, Digest, Notice, StoryView, VolumeAlert
from monitor.errors import RenderError
from monitor.models import Delivery, Story
from monitor.snippets import snippet
from monitor.text import Evidence

Value = Alert | Digest | VolumeAlert | Notice
_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    "alert": TypeAdapter(Alert),
    "digest": TypeAdapter(Digest),
    "volume": TypeAdapter(VolumeAlert),
    "notice": TypeAdapter(Notice),
}
EXPIRES = {
    "alert": timedelta(days=3),
    "digest": timedelta(days=2),
    "volume": timedelta(days=2),
    "notice": timedelta(days=3),
}


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
    return Delivery(
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
        expires_at=due + EXPIRES[kind],
    )


def alert_delivery(app: App, alert: Alert, key: str, not_before: datetime | None, now: datetime) -> Delivery:
    """Return the outbox's row for an alert; `key` is that of the event or story."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:24]
    return delivery(
        app,
        f"alert:{alert.subscriber}:{alert.channel}:{digest}",
        "alert",
        alert.subscriber,
        alert.channel,
        alert,
        now,
        not_before,
        tuple(topic.name for topic in alert.topics),
        alert.story.title[:200],
    )


def retell(row: Delivery, fresh: Delivery) -> bool:
    """Take `fresh` over into `row`, the alert of its key that is there already; False when that leaves nothing to tell.

    One that still waits for its first attempt tells of both, at the earlier time. One that was cancelled told nothing,
    so it goes out as `fresh`.
    """
    topics = [*fresh.topics]
    if row.state == "pending" and row.attempts == 0:
        topics = list(dict.fromkeys((*row.topics, *fresh.topics)))
        if topics == row.topics and fresh.next_attempt_at >= row.next_attempt_at:
            return False
        before, after = value_of(row), value_of(fresh)
        assert isinstance(before, Alert)  # keys of alerts are of no other kind
        assert isinstance(after, Alert)
        merged = replace(
            after,
            topics=tuple({topic.name: topic for topic in (*before.topics, *after.topics)}.values()),
            entities=tuple(dict.fromkeys((*before.entities, *after.entities))),
        )
        row.payload = _ADAPTERS[row.kind].dump_python(merged, mode="json")
        row.next_attempt_at = min(row.next_attempt_at, fresh.next_attempt_at)
    elif row.state == "cancelled" and not row.maybe_dup:
        row.state, row.attempts, row.finished_at = "pending", 0, None
        row.code, row.detail, row.payload = "", "", fresh.payload
        row.created_at, row.next_attempt_at, row.expires_at = fresh.created_at, fresh.next_attempt_at, fresh.expires_at
    else:
        return False
    row.topics, row.subject = topics, fresh.subject
    return True


def value_of(row: Delivery) -> Value:
    """Return what a row is about. Raises RenderError for one that a later version of the program wrote."""
    try:
        value: Value = _ADAPTERS[row.kind].validate_python(row.payload)
    except (KeyError, ValidationError) as error:
        raise RenderError(f"delivery {row.id} ({row.kind}) was written by another version of News Monitor") from error
    return value


def view(story: Story, evidence: Sequence[Evidence], others: tuple[str, ...]) -> StoryView:
    """Return a story as a message shows it, with the passage that holds most of the matched words."""
    assert story.id is not None
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
    )

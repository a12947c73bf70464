"""A digest as it would go, and what is to be known of it before it does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from monitor.app import App
from monitor.render import MAIL_BYTES, MailMessage, SlackMessage
from monitor.service import digest_mail, preview_digest, render_as
from monitor.service.journey import subscriber_of


@dataclass(frozen=True, slots=True)
class DigestView:
    """A subscriber's digest of the window that is open now. `size` is that of the HTML, in bytes, of `budget` at most.

    `headers` are those that matter to a reader, in the order of the mail.
    """

    subscriber: str
    title: str
    subject: str
    html: str
    text: str
    slack: str
    size: int
    budget: int
    headers: tuple[tuple[str, str], ...]
    one_click: bool
    since: datetime
    at: datetime | None
    stories: int
    left_out: int
    quiet: int


def digest_view(app: App, name: str, now: datetime) -> DigestView:
    """Return a subscriber's digest as it would go if it went now; nothing is sent. Raises NotFoundError."""
    subscriber = subscriber_of(app, name)
    value = preview_digest(app, name, None, now)
    message, slack = render_as(app, value, "mail"), render_as(app, value, "slack")
    assert isinstance(message, MailMessage)
    mail = digest_mail(app, value, message)
    slot = app.store.slots.all().get(name)
    return DigestView(
        subscriber=name,
        title=subscriber.title,
        subject=message.subject,
        html=message.html,
        text=message.text,
        slack=json.dumps(slack.blocks, ensure_ascii=False, indent=1) if isinstance(slack, SlackMessage) else "",
        size=len(message.html.encode()),
        budget=MAIL_BYTES,
        headers=tuple((key, str(mail[key])) for key in ("From", "To", "List-Id", "Message-ID") if mail[key]),
        one_click="One-Click" in str(mail["List-Unsubscribe-Post"] or ""),
        since=value.since,
        at=slot.next_at if slot is not None else None,
        stories=sum(section.total for section in value.sections),
        left_out=sum(section.more for section in value.sections),
        quiet=len(value.quiet),
    )

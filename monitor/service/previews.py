"""A digest as it would go, and what is to be known of it before it does."""

from __future__ import annotations

import json
import logging
import re
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from html import unescape

from monitor.app import OPERATORS, App
from monitor.errors import NotFoundError, RenderError, SendError
from monitor.render import MAIL_BYTES, MailMessage, PlainMessage, SlackMessage
from monitor.send import Outcome
from monitor.service import digest_mail, preview_digest, render_as
from monitor.service.journey import subscriber_of

log = logging.getLogger(__name__)

BUDGET = 60_000  # bytes of HTML that a mail should have at most; above `limit` stories are left out of it
_HIDDEN = re.compile(r'<div style="display:none[^>]*>(.*?)(?:&#847;|</div>)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class DigestView:
    """A subscriber's digest of the window that is open now. `size` is that of the HTML, in bytes, of `limit` at most.

    `inbox` is what an inbox shows beside the subject. `headers` are those that matter to a reader, in the mail's order.
    """

    subscriber: str
    title: str
    subject: str
    html: str
    text: str
    slack: str
    size: int
    budget: int
    limit: int
    inbox: str
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
        budget=BUDGET,
        limit=MAIL_BYTES,
        inbox=_preheader(message.html),
        headers=tuple((key, str(mail[key])) for key in ("From", "To", "List-Id", "Message-ID") if mail[key]),
        one_click="One-Click" in str(mail["List-Unsubscribe-Post"] or ""),
        since=value.since,
        at=slot.next_at if slot is not None else None,
        stories=sum(section.total for section in value.sections),
        left_out=sum(section.more for section in value.sections),
        quiet=len(value.quiet),
    )


def _preheader(html: str) -> str:
    """Return the first words of a mail, which it hides and an inbox shows; "" where its template has none."""
    found = _HIDDEN.search(html)
    return " ".join(unescape(re.sub(r"<[^>]*>", "", found[1])).split()) if found else ""


def send_test_digest(app: App, name: str, now: datetime) -> list[tuple[str, Outcome]]:
    """Send a subscriber's digest as it would go now to the operators' channels; return what became of it by each.

    It goes at once and past the outbox, so it is on no record: no slot moves, and nobody counts as told. It has none of
    the subscriber's links, by which whoever got it could unsubscribe them. Raises NotFoundError.
    """
    channels = app.config.settings.operators
    if not channels:
        raise NotFoundError("`operators` of monitor.yaml names no channel to send a test to")
    subscriber, value = subscriber_of(app, name), preview_digest(app, name, None, now)
    reader, links = app.reader(subscriber), app.links(OPERATORS, (), now)
    found = []
    for number, channel in enumerate(channels, 1):
        url = channel.get_secret_value()
        try:
            message: MailMessage | SlackMessage | PlainMessage
            match app.sender.kind(url):
                case "mail":
                    mail = app.renderer.mail(value, reader, app.site, links, now)
                    message = replace(mail, subject=f"Test: {mail.subject}")
                case "slack":
                    slack = app.renderer.slack(value, reader, app.site, links, now)
                    message = replace(slack, text=f"Test: {slack.text}")
                case "plain":
                    plain = app.renderer.plain(value, reader, app.site, links, now, app.sender.room(url))
                    message = replace(plain, title=f"Test: {plain.title}")
            identity = f"test-{uuid.uuid4().hex}@{app.mail_host}"
            outcome = app.sender.send(url, message, identity, now)
        except (RenderError, SendError) as error:
            outcome = Outcome("permanent", type(error).__name__, str(error))
        log.info("a test of the digest for %s to the operators' channel %d: %s", name, number, outcome.kind)
        found.append((f"Channel {number} of the operators", outcome))
    return found

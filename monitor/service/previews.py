"""A subscriber's messages as they go, and what is to be known of them before they do."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from html import unescape
from typing import Any

from monitor.app import OPERATORS, App, address_of
from monitor.dispatch import Digest
from monitor.errors import NotFoundError, RenderError, SendError
from monitor.models import Delivery
from monitor.pipeline.deliver import setting
from monitor.pipeline.outgoing import Value, value_of
from monitor.render import MAIL_BYTES, MailMessage, PlainMessage, SlackMessage
from monitor.send import Outcome
from monitor.service import addressed, digest_mail, preview_digest, render_as
from monitor.service.journey import subscriber_of

log = logging.getLogger(__name__)

BUDGET = 60_000  # bytes of HTML that a mail should have at most; above `limit` stories are left out of it
_HIDDEN = re.compile(r'<div style="display:none[^>]*>(.*?)(?:&#847;|</div>)', re.DOTALL)
_LOOKED_AT = 50  # recorded messages among which the latest of a sort is looked for

# What can be looked at, by its name in an address: the digest that comes next, that digest if nothing matched, and the
# latest message on record of each sort.
MESSAGES: Mapping[str, str] = {
    "": "Next digest",
    "empty": "Next digest, if nothing matched",
    "digest": "Latest digest",
    "summary": "Latest summary of what was held back",
    "alert": "Latest alert",
    "update": "Latest update",
    "volume": "Latest alert of an unusual volume",
    "notice": "Latest notice to the operators",
}
_KIND = {"summary": "digest", "update": "alert"}  # of the outbox's rows, where it has another name


@dataclass(frozen=True, slots=True)
class Mail:
    """A message in its forms. `size` is that of the HTML, in bytes, of `limit` at most and `budget` if all is well.

    `inbox` is what an inbox shows beside the subject. `headers` are those that matter to a reader, in the mail's order.
    """

    subject: str
    html: str
    text: str
    slack: str
    inbox: str
    headers: tuple[tuple[str, str], ...]
    one_click: bool
    budget: int = BUDGET
    limit: int = MAIL_BYTES

    @property
    def size(self) -> int:
        """How large it is, in bytes."""
        return len(self.html.encode())


@dataclass(frozen=True, slots=True)
class Preview:
    """One of a subscriber's messages (`MESSAGES`): one that would go, or the `row` of one on record.

    `mail` is None where there is none; `why` says then why not, unless it is that none was sent. Of the next digest:
    when it goes `at`, since when it tells of how many `stories`, and how many of these it only counts.
    """

    subscriber: str
    title: str
    message: str
    mail: Mail | None
    why: str = ""
    row: Delivery | None = None
    at: datetime | None = None
    since: datetime | None = None
    stories: int = 0
    left_out: int = 0
    skipped: bool = False


def preview(app: App, name: str, now: datetime, message: str = "") -> Preview:
    """Return a subscriber's message as it would go if it went now, or as it went; nothing is sent.

    Of an unknown `message` it is the next digest. Raises NotFoundError.
    """
    subscriber = subscriber_of(app, name)
    message = message if message in MESSAGES else ""
    try:
        value, row = _chosen(app, name, now, message)
        mail = None if value is None else _mail(app, value, row)
    except RenderError as error:
        return Preview(name, subscriber.title, message, None, f"{error}.")
    if row is not None or not isinstance(value, Digest):
        return Preview(name, subscriber.title, message, mail, row=row)
    if not (value.sections or value.quiet):
        why = f"No subscription of {subscriber.title} has a topic in a digest."
        return Preview(name, subscriber.title, message, None, why)
    slot = app.store.slots.all().get(name)
    return Preview(
        name,
        subscriber.title,
        message,
        mail,
        at=slot.next_at if slot is not None else None,
        since=value.since,
        stories=sum(section.total for section in value.sections),
        left_out=sum(section.more for section in value.sections),
        skipped=not value.sections and subscriber.digest is not None and subscriber.digest.empty == "skip",
    )


def _chosen(app: App, name: str, now: datetime, message: str) -> tuple[Value | None, Delivery | None]:
    """Return what a message tells, and the row of one on record. Raises RenderError for one that cannot be read."""
    if message not in ("", "empty"):
        kind, whose = _KIND.get(message, message), OPERATORS if message == "notice" else name
        rows = app.store.reports.latest_of(whose, kind, _LOOKED_AT)
        row = next((row for row in rows if _sort(row) == message), None)
        return (None, None) if row is None else (value_of(row), row)
    value = preview_digest(app, name, None, now)
    if message == "empty":
        topics = (*(section.topic for section in value.sections), *value.quiet)
        value = replace(value, sections=(), quiet=topics)
    return value, None


def _sort(row: Delivery) -> str:
    told: Mapping[str, Any] = row.payload
    if row.kind == "digest" and told.get("summary"):
        return "summary"
    return "update" if row.kind == "alert" and told.get("news") else row.kind


def _mail(app: App, value: Value, row: Delivery | None) -> Mail:
    message, slack = render_as(app, value, "mail", row), render_as(app, value, "slack", row)
    assert isinstance(message, MailMessage)
    if row is not None:
        url = address_of(app.config, row.kind, row.subscriber, row.channel) or ""
        reader = setting(app, app.config, value, row)[0]
        mail = addressed(app, message, [(url, row.message_id)], (reader.title, reader.name or "operators"))
    else:
        assert isinstance(value, Digest)  # what is not on record is one that would go
        mail = digest_mail(app, value, message)
    return Mail(
        subject=message.subject,
        html=message.html,
        text=message.text,
        slack=json.dumps(slack.blocks, ensure_ascii=False, indent=1) if isinstance(slack, SlackMessage) else "",
        inbox=_preheader(message.html),
        headers=tuple((key, str(mail[key])) for key in ("From", "To", "List-Id", "Message-ID") if mail[key]),
        one_click="One-Click" in str(mail["List-Unsubscribe-Post"] or ""),
    )


def _preheader(html: str) -> str:
    """Return the first words of a mail, which it hides and an inbox shows; "" where its template has none."""
    found = _HIDDEN.search(html)
    return " ".join(unescape(re.sub(r"<[^>]*>", "", found[1])).split()) if found else ""


def send_test(app: App, name: str, now: datetime, message: str = "") -> list[tuple[str, Outcome]]:
    """Send a subscriber's message, as `preview` shows it, to the operators' channels; return what became of it by each.

    It goes at once and past the outbox, so it is on no record: no slot moves, and nobody counts as told. It has none of
    the subscriber's links, by which whoever got it could unsubscribe them. Raises NotFoundError.
    """
    channels = app.config.settings.operators
    if not channels:
        raise NotFoundError("`operators` of monitor.yaml names no channel to send a test to")
    subscriber_of(app, name)
    try:
        value, row = _chosen(app, name, now, message if message in MESSAGES else "")
    except RenderError as error:
        raise NotFoundError(str(error)) from error
    if value is None:
        raise NotFoundError(f"no such message to {name} is on record, so there is none to send")
    (reader, _, at), links = setting(app, app.config, value, row), app.links(OPERATORS, (), now)
    found = []
    for number, channel in enumerate(channels, 1):
        url = channel.get_secret_value()
        try:
            made: MailMessage | SlackMessage | PlainMessage
            match app.sender.kind(url):
                case "mail":
                    mail = app.renderer.mail(value, reader, app.site, links, at)
                    made = replace(mail, subject=f"Test: {mail.subject}")
                case "slack":
                    slack = app.renderer.slack(value, reader, app.site, links, at)
                    made = replace(slack, text=f"Test: {slack.text}")
                case "plain":
                    plain = app.renderer.plain(value, reader, app.site, links, at, app.sender.room(url))
                    made = replace(plain, title=f"Test: {plain.title}")
            identity = f"test-{uuid.uuid4().hex}@{app.mail_host}"
            outcome = app.sender.send(url, made, identity, now)
        except (RenderError, SendError) as error:
            outcome = Outcome("permanent", type(error).__name__, str(error))
        what = MESSAGES.get(message, MESSAGES[""]).lower()
        log.info("a test (%s for %s) to the operators' channel %d: %s", what, name, number, outcome.kind)
        found.append((f"Channel {number} of the operators", outcome))
    return found

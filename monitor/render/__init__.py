"""Renders alerts, digests and notices into messages for mail, Slack and other services, through Jinja2 templates.

What a publisher wrote is hostile here: `views` cleans it of control and bidi characters, brings it to one line and cuts
it before a template sees it; the surface that shows it makes it harmless with the filters of `escape`.
"""

from __future__ import annotations

from monitor.render.language import languages, load_language
from monitor.render.messages import Links, MailMessage, PlainMessage, Reader, Site, SlackMessage
from monitor.render.renderer import (
    MAIL_BYTES,
    PLAIN_CHARACTERS,
    PLAIN_TITLE,
    SLACK_CHARACTERS,
    SUBJECT,
    Renderer,
    shipped,
    slack_fits,
)

__all__ = [
    "MAIL_BYTES",
    "PLAIN_CHARACTERS",
    "PLAIN_TITLE",
    "SLACK_CHARACTERS",
    "SUBJECT",
    "Links",
    "MailMessage",
    "PlainMessage",
    "Reader",
    "Renderer",
    "Site",
    "SlackMessage",
    "languages",
    "load_language",
    "shipped",
    "slack_fits",
]

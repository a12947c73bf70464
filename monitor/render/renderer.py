"""Renders messages through Jinja2 templates, within the limits of each surface."""

from __future__ import annotations

import json
import re
import traceback
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from email.utils import parseaddr
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from monitor.dispatch import Alert, Confirmation, Digest, Notice, StoryView, VolumeAlert
from monitor.errors import RenderError
from monitor.render import escape
from monitor.render.language import Language, load_language
from monitor.render.messages import Links, MailMessage, PlainMessage, Reader, Site, SlackMessage
from monitor.render.views import Level, by_severity, view
from monitor.snippets import cut
from monitor.urls import ascii_domain

SUBJECT = 200  # characters
MAIL_BYTES = 90_000  # of HTML; Gmail cuts a mail off at about 102 KB
SLACK_CHARACTERS = 13_000  # over all blocks; Slack refuses more than about 13,200 (msg_blocks_too_long)
PLAIN_CHARACTERS = 3_500  # Telegram takes 4,096
PLAIN_TITLE = 250
Value = Alert | Digest | VolumeAlert | Notice | Confirmation
_RESULT = TypeVar("_RESULT")

# Tried in turn until the message keeps its surface's limits; the last shows topics and counts only.
_LEVELS = (
    Level(5, 40, 40, 320),
    Level(4, 30, 30, 240),
    Level(3, 20, 20, 160),
    Level(2, 12, 12, 0),
    Level(1, 6, 6, 0),
    Level(0, 0, 0, 0),
)


def shipped(name: str) -> Path:
    """Return the folder `name` ("templates", "config") that comes with the program, installed or in its source tree."""
    here = Path(__file__).resolve().parent.parent
    installed = here / "_shipped" / name
    return installed if installed.is_dir() else here.parent / name


class Renderer:
    """Renders from a folder of templates. A template that `templates` lacks is taken from the shipped ones, and so is
    the catalog of a language.
    """

    def __init__(self, templates: Path | None = None) -> None:
        self._folders = [shipped("templates")] if templates is None else [templates, shipped("templates")]
        self._environments: dict[str, Environment] = {}

    def mail(
        self,
        value: Value,
        reader: Reader,
        site: Site,
        links: Links,
        now: datetime | None = None,
    ) -> MailMessage:
        """Return the mail for `value`. `now`, where known, shortens dates ("Monday 09:12"); a digest has its own.

        The HTML is at most MAIL_BYTES long: stories are left out and counted until it fits. The headers are those that
        depend on what is told: List-Id, List-Unsubscribe, List-Unsubscribe-Post, Auto-Submitted and its like,
        References and In-Reply-To. Raises RenderError.
        """
        kind = _KINDS[type(value)]

        def build(context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
            html = self._render(f"mail/{kind}.html.j2", context).strip() + "\n"
            return re.sub(r"\n\s*\n+", "\n", html), context

        html, context = self._fit(
            value, (reader, site, links, now), build, lambda built: len(built[0].encode()) <= MAIL_BYTES
        )
        text = _tidy(self._render(f"mail/{kind}.txt.j2", context))
        return MailMessage(context["subject"], text, html, _headers(value, site, links))

    def slack(
        self,
        value: Value,
        reader: Reader,
        site: Site,
        links: Links,
        now: datetime | None = None,
    ) -> SlackMessage:
        """Return the Slack message for `value`, within Slack's limits. Raises RenderError."""
        kind = _KINDS[type(value)]

        def build(context: dict[str, Any]) -> SlackMessage:
            text = self._render(f"slack/{kind}.txt.j2", context).strip()
            name = f"slack/{kind}.json.j2"
            source = self._render(name, context)
            try:
                blocks = json.loads(source)
            except ValueError as error:
                raise RenderError(f"Template {name} does not give JSON: {error}.") from error
            if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
                raise RenderError(f"Template {name} does not give a JSON list of blocks.")
            return SlackMessage(text, tuple(blocks))

        return self._fit(value, (reader, site, links, now), build, lambda built: slack_fits(built.blocks))

    def plain(
        self,
        value: Value,
        reader: Reader,
        site: Site,
        links: Links,
        now: datetime | None = None,
        room: int = PLAIN_CHARACTERS,
    ) -> PlainMessage:
        """Return the message for `value` without markup: a title of PLAIN_TITLE characters at most, and a body of
        PLAIN_CHARACTERS. Where the service has less `room` for both, the message is short, but it may be longer than
        that. Raises RenderError.
        """
        kind = _KINDS[type(value)]

        def build(context: dict[str, Any]) -> PlainMessage:
            body = _tidy(self._render(f"text/{kind}.j2", context))
            return PlainMessage(cut(escape.defuse(context["subject"]), PLAIN_TITLE), body)

        setting = (reader, site, links, now)
        if room < PLAIN_CHARACTERS + PLAIN_TITLE:
            with suppress(RenderError):
                return self._fit(value, setting, build, lambda built: len(built.title) + len(built.body) <= room)
        return self._fit(value, setting, build, lambda built: len(built.body) <= PLAIN_CHARACTERS)

    def _fit(
        self,
        value: Value,
        setting: tuple[Reader, Site, Links, datetime | None],
        build: Callable[[dict[str, Any]], _RESULT],
        fits: Callable[[_RESULT], bool],
    ) -> _RESULT:
        kind = _KINDS[type(value)]
        for level in _LEVELS:
            context = view(value, *setting, level)
            subject = self._render(f"mail/{kind}.subject.j2", context)
            built = build(context | {"subject": cut(escape.header_text(subject), SUBJECT)})
            if fits(built):
                return built
        raise RenderError(f"The {kind} is too long even without stories: shorten its templates.")

    def _render(self, name: str, context: Mapping[str, Any]) -> str:
        environment = self._environment(context["reader"].language)
        try:
            return environment.get_template(name).render(context)
        # Operators may edit templates, and an expression in one can raise whatever Python can.
        except Exception as error:
            raise RenderError(f"Template {self._place(name, error)}: {error or type(error).__name__}") from error

    def _environment(self, tag: str) -> Environment:
        """The templates in the language `tag`: words that are not translated are in English."""
        if tag not in self._environments:
            try:
                language = load_language(tag, self._folders)
            # Operators may bring catalogs of their own; Babel's reader raises what the file makes it stumble over.
            except Exception as error:
                raise RenderError(f"The catalog of the language {tag} cannot be read: {error}") from error
            self._environments[tag] = _environment(self._folders, language)
        return self._environments[tag]

    def _place(self, name: str, error: Exception) -> str:
        """The innermost template that `error` passed through, and the line in it."""
        if isinstance(error, TemplateSyntaxError):
            return f"{error.name or name}, line {error.lineno}"
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            for folder in self._folders:
                if Path(frame.filename).is_relative_to(folder):
                    return f"{Path(frame.filename).relative_to(folder)}, line {frame.lineno}"
        return name


def _environment(folders: Sequence[Path], language: Language) -> Environment:
    environment = ImmutableSandboxedEnvironment(
        loader=_Loader(folders),
        autoescape=_is_html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(language.translations, newstyle=True)  # type: ignore[attr-defined]  # the extension adds it
    environment.globals["language"] = language
    environment.filters |= _FILTERS | {
        "clock": language.clock,
        "counted": lambda topic: f"{language.isolate(topic.title)} ({language.number(topic.total)})",
        "date": language.date,
        "exactly": language.exactly,
        "isolate": _on_text(language.isolate),
        "moment": language.moment,
        "number": language.number,
        "pad": _on_text(language.pad),
        "quote": _on_text(language.quote),
        "series": _on_texts(language.series),
        "span": language.span,
        "weekday": language.weekday,
        "wrap": _on_text(language.wrap),
    }
    return environment


class _Loader(FileSystemLoader):
    """Finds templates in folders; "plain/NAME" is the file NAME under another name (see `_is_html`)."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        return super().get_source(environment, template.removeprefix("plain/"))


def _is_html(name: str | None) -> bool:
    """Whether template `name` escapes for HTML: all do but those that are known to make other text.

    A macro's result counts as HTML where HTML calls it, whoever wrote it; so "words.j2" escapes by itself, and text
    imports the same file as "plain/words.j2".
    """
    return name is None or not (
        name.startswith(("plain/", "slack/", "text/")) or name.endswith((".txt.j2", ".subject.j2"))
    )


_KINDS: Mapping[type, str] = {
    Alert: "alert",
    Confirmation: "confirmation",
    Digest: "digest",
    Notice: "notice",
    VolumeAlert: "volume",
}


def _headers(value: Value, site: Site, links: Links) -> tuple[tuple[str, str], ...]:
    domain = _domain(site)
    headers = []
    if isinstance(value, Alert):
        topic = by_severity(value.topics)[0]
        headers.append(("List-Id", _list_id(topic.title, topic.name, domain)))
    elif isinstance(value, VolumeAlert):
        headers.append(("List-Id", _list_id(value.topic.title, value.topic.name, domain)))
    elif isinstance(value, Digest):
        headers.append(("List-Id", _list_id("Digest", "digest", domain)))
    if links.unsubscribe and not isinstance(value, Notice):
        headers.append(("List-Unsubscribe", f"<{links.unsubscribe}>"))
        headers.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))  # RFC 8058
    headers.append(("Auto-Submitted", "auto-generated"))  # RFC 3834: no out-of-office answers
    headers.append(("X-Auto-Response-Suppress", "OOF, AutoReply"))  # the same for Exchange, which does not read that
    if isinstance(value, Alert):
        root = _event_root(value.story, domain)
        headers += [("References", root), ("In-Reply-To", root)]
    return tuple(headers)


def _event_root(story: StoryView, domain: str) -> str:
    """The message that all messages about an event say they follow. There is none such: threads need only its name."""
    # Of the key and not of the row's number, which another event has in a database begun anew.
    name = sha256(story.event_key.encode()).hexdigest()[:24] if story.event_key else f"{story.event_id}"
    return f"<event-{name}@{domain}>"


def _domain(site: Site) -> str:
    """The domain of the sender's address, else the host of the pages."""
    found = ascii_domain(parseaddr(site.mail_from)[1].rpartition("@")[2]) or urlsplit(site.public_url).hostname or ""
    return found.lower() if re.fullmatch(r"[A-Za-z0-9.-]+", found) else "localhost"


def _list_id(title: str, name: str, domain: str) -> str:
    """A List-Id (RFC 2919) of ASCII only: encoded as a whole, its brackets would be lost."""
    title, name = (unicodedata.normalize("NFKD", text) for text in (title, name))  # é is e and an accent
    words = " ".join(re.sub(r"[^A-Za-z0-9 _-]", "", title).split())
    identifier = re.sub(r"[^a-z0-9]+", "-", re.sub(r"[\u0300-\u036f]", "", name.lower())).strip("-") or "topic"
    return f"{words} <{identifier}.{domain}>".strip()


def slack_fits(blocks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether `blocks` keep the limits of Slack's Block Kit."""
    if not 0 < len(blocks) <= 50 or len(json.dumps(blocks, ensure_ascii=False)) > SLACK_CHARACTERS:
        return False
    for block in blocks:
        texts = [block["text"]] if "text" in block else []
        elements = block.get("elements", ())
        texts += [element for element in elements if block["type"] == "context"]
        buttons = [element for element in elements if block["type"] == "actions"]
        longest = max((len(text["text"]) for text in texts), default=0)
        if longest > (150 if block["type"] == "header" else 3_000):
            return False
        if len(elements) > (10 if block["type"] == "context" else 25):
            return False
        if any(len(button["text"]["text"]) > 75 or len(button["url"]) > 3_000 for button in buttons):
            return False
    return True


def _tidy(text: str) -> str:
    """`text` without blanks at line ends, and with one empty line where templates left more."""
    lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines) + "\n"


def _on_text(function: Callable[..., str]) -> Callable[..., str]:
    """`function` as a filter that takes the HTML of a macro as the text it says, and gives text, to be escaped anew."""

    def filter_(text: str, *arguments: Any, **options: Any) -> str:
        return function(text.unescape() if isinstance(text, Markup) else text, *arguments, **options)

    return filter_


def _on_texts(function: Callable[..., str]) -> Callable[..., str]:
    """As `_on_text`, for a function of several texts."""

    def filter_(texts: Iterable[str], *arguments: Any, **options: Any) -> str:
        plain = (text.unescape() if isinstance(text, Markup) else text for text in texts)
        return function(plain, *arguments, **options)

    return filter_


_TEXT_FILTERS: tuple[Callable[..., str], ...] = (
    cut,
    escape.bold,
    escape.bare_link,
    escape.capital,
    escape.defuse,
    escape.first_words,
    escape.label,
    escape.mrkdwn,
    escape.slack_link,
    escape.unlink,
)
_FILTERS: dict[str, Callable[..., Any]] = {function.__name__: _on_text(function) for function in _TEXT_FILTERS}

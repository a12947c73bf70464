"""A message goes out, and what became of it is a value. The only importer of Apprise.

Operators write plain Apprise addresses. Mail and Slack go through subclasses of Apprise's own plugins, registered in
its manager, because the stock ones cannot say why they failed, make up a new Message-ID for every attempt, and derive
the text part from the HTML (docs/decisions/0003-apprise-subclasses.md). All other services stay stock.
"""

from __future__ import annotations

import functools
import json
import logging
import re
import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import requests
from apprise import Apprise, AppriseAsset, NotifyFormat
from apprise.manager_plugins import NotificationManager
from apprise.plugins.email.base import NotifyEmail
from apprise.plugins.slack import NotifySlack, SlackMode

from monitor.errors import SendError
from monitor.logs import redact
from monitor.render import MailMessage, PlainMessage, SlackMessage

Kind = Literal["mail", "slack", "plain"]
Message = MailMessage | SlackMessage | PlainMessage
# Called just before the message's bytes go out; False says that the lease is lost and nothing may be sent.
OnWire = Callable[[], bool]

SMTP_TIMEOUT = 15.0  # seconds; what Apprise allows a mail server to answer a step
HTTP_TIMEOUT = (5.0, 15.0)  # seconds to connect, and to answer
# Parts named in < > are seen as none of a secret when log lines are cleaned (logs.py).
_UNREADABLE_MAIL = (
    "Apprise cannot read this {0}:// address: write {0}://<user>:<password>@<host>:<port>?to=<someone@their.domain>"
)
_NO_PORT = "the port of this {}:// address is not a number from 1 to 65535"
DETAIL_LIMIT = 300  # characters of a server's reply that are kept

# The standard policy folds a long List-Unsubscribe into an encoded word, which kills one-click (cpython #85725).
_WIRE_POLICY = SMTP.clone(max_line_length=998)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt.

    `sent`: the server took it. `retry`: it certainly was not delivered and may be later. `permanent`: it never will be.
    `unknown`: the bytes went out and no answer came back; it may have been delivered. `lost`: not tried, for the lease
    was lost. `retry_after` is in seconds; `receipt` is the server's own id; `detail` holds no secret.
    """

    kind: Literal["sent", "retry", "permanent", "unknown", "lost"]
    code: str = ""
    detail: str = ""
    retry_after: float | None = None
    receipt: str = ""


def _reply(code: int, text: bytes | str) -> str:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return redact(f"{code} {' '.join(said.split())}")[:DETAIL_LIMIT]


def _by_code(code: int, text: bytes | str) -> Outcome:
    return Outcome("permanent" if code >= 500 else "retry", str(code), _reply(code, text))


@functools.cache
def _tls(verify: bool) -> ssl.SSLContext:
    # Loading the trust store costs 28 ms of CPU, so not once a message; an operator's `verify=no` is his own word.
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class NewsMail(NotifyEmail):
    """Apprise's mail plugin, sending a ready-made message and keeping the server's answer in `outcome`."""

    request_rate_per_sec = 0
    message: EmailMessage | None = None
    outcome: Outcome | None = None
    on_wire: OnWire = staticmethod(lambda: True)

    def send(self, *_args: Any, **_kwargs: Any) -> bool:
        """Send `message` to the one recipient; never raises for what a server does."""
        assert self.message is not None
        server: smtplib.SMTP | None = None
        on_the_wire = False
        try:
            server = self._connect()
            self.outcome = self._envelope(server)
            if self.outcome is None:
                if not self.on_wire():
                    self.outcome = Outcome("lost")
                else:
                    on_the_wire = True
                    code, text = server.data(self.message.as_bytes(policy=_WIRE_POLICY))
                    on_the_wire = False
                    self.outcome = (
                        Outcome("sent", str(code), receipt=_reply(code, text)) if code == 250 else _by_code(code, text)
                    )
        except smtplib.SMTPDataError as error:  # the answer to DATA itself, before any byte of the message
            self.outcome = _by_code(error.smtp_code, error.smtp_error)
        except smtplib.SMTPAuthenticationError as error:
            # The password may be mended while the message waits, so it does.
            self.outcome = Outcome(
                "retry", str(error.smtp_code), f"login refused: {_reply(error.smtp_code, error.smtp_error)}"
            )
        except smtplib.SMTPResponseException as error:
            self.outcome = _by_code(error.smtp_code, error.smtp_error)
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            detail = redact(f"{self.smtp_host}:{self.port or 'default port'}: {error}")[:DETAIL_LIMIT]
            self.outcome = Outcome("unknown" if on_the_wire else "retry", type(error).__name__, detail)
        finally:
            _close(server)
        return self.outcome.kind == "sent"

    def _connect(self) -> smtplib.SMTP:
        port = self.port or {"ssl": 465, "starttls": 587}.get(str(self.secure_mode), 25)
        server: smtplib.SMTP
        if self.secure_mode == "ssl":
            context = _tls(self.verify_certificate)
            server = smtplib.SMTP_SSL(self.smtp_host, port, timeout=SMTP_TIMEOUT, context=context)
        else:
            server = smtplib.SMTP(self.smtp_host, port, timeout=SMTP_TIMEOUT)
            if self.secure_mode == "starttls":
                server.starttls(context=_tls(self.verify_certificate))
        if self.user and self.password:
            server.login(self.user, self.password)
        return server

    def _envelope(self, server: smtplib.SMTP) -> Outcome | None:
        """Say who it is from and for; an Outcome when the server refuses."""
        server.ehlo_or_helo_if_needed()
        (_, recipient), sender = self.targets[0], str(self.from_addr[1])
        options = ["SMTPUTF8"] if not (recipient + sender).isascii() and server.has_extn("smtputf8") else []
        for code, text in (server.mail(sender, options), server.rcpt(recipient)):
            if code not in (250, 251):
                return _by_code(code, text)
        return None


def _close(server: smtplib.SMTP | None) -> None:
    if server is not None:
        try:
            server.quit()
        except (OSError, smtplib.SMTPException):
            server.close()


class NewsSlack(NotifySlack):
    """Apprise's Slack plugin, posting ready-made blocks and keeping the answer in `outcome`.

    `?base=http://host/services` sends a webhook to a Slack-compatible server (Mattermost, Rocket.Chat, a test).
    """

    request_rate_per_sec = 0
    message: SlackMessage | None = None
    outcome: Outcome | None = None
    on_wire: OnWire = staticmethod(lambda: True)

    def __init__(self, *args: Any, base: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if base:
            self.webhook_url = base.rstrip("/")

    @staticmethod
    def parse_url(url: str) -> Any:
        """Read a slack:// address, with our `base` beside Apprise's own parameters."""
        results = NotifySlack.parse_url(url)
        if results and results.get("qsd", {}).get("base"):
            results["base"] = NotifySlack.unquote(results["qsd"]["base"])
        return results

    def send(self, *_args: Any, **_kwargs: Any) -> bool:
        """Post `message` to the webhook, or as the bot to its channel; never raises for what a server does."""
        assert self.message is not None
        payload: dict[str, Any] = {
            "text": self.message.text,
            "blocks": list(self.message.blocks),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if self.mode == SlackMode.BOT:
            url = f"{self.api_url.format('chat.postMessage')}"
            headers["Authorization"] = f"Bearer {self.access_token}"
            payload["channel"] = next(iter(self.channels), "#general")
        else:
            base = self.webhook_gov_url if self.mode == SlackMode.WEBHOOK_GOV else self.webhook_url
            url = f"{base}/{self.token_a}/{self.token_b}/{self.token_c}"
        if not self.on_wire():
            self.outcome = Outcome("lost")
            return False
        self.outcome = _post(url, payload, headers, verify=self.verify_certificate)
        return self.outcome.kind == "sent"


# What Slack says of a request that will be refused the next time too.
_SLACK_FINAL = re.compile(
    rb"no_service|no_team|invalid_|channel_not_found|channel_is_archived|msg_|user_not_found|not_in_channel"
    rb"|account_inactive|token_revoked|not_authed|missing_scope|posting_to_general_channel_denied|is_archived"
)


def _post(url: str, payload: dict[str, Any], headers: dict[str, str], *, verify: bool) -> Outcome:
    try:
        answer = requests.post(
            url,
            data=json.dumps(payload).encode(),
            headers=headers,
            timeout=HTTP_TIMEOUT,
            allow_redirects=False,
            verify=verify,
        )
    except requests.ConnectTimeout:
        return Outcome("retry", "timeout", "the server could not be reached in time")
    except requests.ReadTimeout:
        return Outcome("unknown", "timeout", "the server took the message and gave no answer in time")
    except requests.ConnectionError as error:
        refused = "refused" in str(error) or "resolve" in str(error)
        return Outcome("retry" if refused else "unknown", "connection", "the connection failed or broke off")
    except requests.RequestException as error:
        return Outcome("retry", type(error).__name__, "the request could not be made")
    body = answer.content[:2000]
    code = str(answer.status_code)
    if answer.status_code == 200 and (body.strip() == b"ok" or _said_ok(body)):
        return Outcome("sent", code, receipt=_timestamp(body))
    # Only Slack's short error words are kept: an answer of another server is not echoed.
    word = re.search(rb"[a-z]+(?:_[a-z]+)+|ratelimited", body)
    detail = word.group().decode()[:60] if word else ""
    if answer.status_code == 429 or b"ratelimited" in body or b"rate_limited" in body:
        return Outcome("retry", code, detail or "rate limited", _seconds(answer.headers.get("Retry-After")))
    final = bool(_SLACK_FINAL.search(body)) or answer.status_code in (400, 401, 403, 404, 410)
    return Outcome("permanent" if final else "retry", code, detail, _seconds(answer.headers.get("Retry-After")))


def _said_ok(body: bytes) -> bool:
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("ok") is True


def _timestamp(body: bytes) -> str:
    found = re.search(rb'"ts"\s*:\s*"([\d.]+)"', body)
    return found.group(1).decode() if found else ""


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and re.fullmatch(r"\d{1,9}", value.strip()) else None


class _Lines(logging.Handler):
    """Collects what Apprise says at WARNING during one call in one thread; its text never leaves this module."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + "\n"


class Sender:
    """Sends messages to Apprise addresses, one recipient and one call each. Thread-safe; blocks its caller."""

    def __init__(self, mail_from: str = "") -> None:
        self.mail_from = mail_from
        manager = NotificationManager()
        manager.add(NewsMail, force=True)
        manager.add(NewsSlack, force=True)
        # A call of its own in the caller's thread: Apprise's pool blocks healthy services behind hung ones, and a
        # timeout there does not stop the send (notes on delivery, section 1.2).
        self._asset = AppriseAsset(service_timeout=0, async_mode=False, app_id="News Monitor")

    def _service(self, url: str) -> Any:
        scheme = url.partition(":")[0].lower()
        is_mail = scheme in ("mailto", "mailtos")
        if is_mail and self.mail_from and "from=" not in urlsplit(url).query:
            url = _from(url, parseaddr(self.mail_from)[1])
        if is_mail and not _is_port(urlsplit(url).netloc.rpartition("@")[2].rpartition("]")[2].partition(":")[2]):
            raise SendError(_NO_PORT.format(scheme))
        service = self._instance(url)
        if service is None:
            raise SendError(self._why_not(scheme, url))
        if isinstance(service, NewsMail):
            if not service.targets or not service.smtp_host:
                raise SendError(_UNREADABLE_MAIL.format(scheme))
            copies = len(service.cc) + len(service.bcc)
            if len(service.targets) + copies != 1:
                raise SendError(
                    f"a mail channel has exactly one recipient, and this {scheme}:// address has "
                    f"{len(service.targets) + copies}: give each recipient a channel of their own"
                )
        elif not _is_port(str(getattr(service, "port", None) or "")):
            raise SendError(_NO_PORT.format(scheme))
        return service

    def _instance(self, url: str) -> Any:
        return Apprise.instantiate(url, asset=self._asset, suppress_exceptions=True)

    def _why_not(self, scheme: str, url: str) -> str:
        if scheme not in NotificationManager().schemas():
            return f"Apprise knows no service `{scheme}://`; mail is mailto:// or mailtos://, Slack is slack://"
        if scheme not in ("mailto", "mailtos"):
            return f"Apprise cannot read this {scheme}:// address: a part of it is missing or malformed"
        with_sender = None if "from=" in urlsplit(url).query else self._instance(_from(url, "news@your.example"))
        if with_sender is not None and with_sender.smtp_host:
            return (
                f"this {scheme}:// address says no sender: add ?from=news@your.domain, "
                "or set `mail_from` in monitor.yaml"
            )
        return _UNREADABLE_MAIL.format(scheme)

    def check(self, url: str) -> str:
        """Return what is wrong with a channel's address and how to mend it, or "" when it is good. Sends nothing."""
        try:
            self._service(url)
        except SendError as error:
            return str(error)
        return ""

    def kind(self, url: str) -> Kind:
        """Return which form of message an address wants. Raises SendError when the address cannot be used."""
        return _kind_of(self._service(url))

    def send(
        self, url: str, message: Message, message_id: str, now: datetime, on_wire: OnWire = lambda: True
    ) -> Outcome:
        """Send `message`, calling `on_wire` just before its bytes go out.

        `message_id` names the message to receivers, without angle brackets; it is the same for every attempt.
        Raises SendError when the address cannot be used; whatever a server does is an Outcome.
        """
        service = self._service(url)
        if isinstance(service, NewsMail) and isinstance(message, MailMessage):
            sender = self._sender(service)
            service.from_addr = list(sender)
            service.message = compose(message, sender, service.targets[0], message_id, now)
        elif isinstance(service, NewsSlack) and isinstance(message, SlackMessage):
            service.message = message
        elif isinstance(message, PlainMessage):
            return self._send_plain(service, message, on_wire)
        else:
            raise SendError(f"a {type(message).__name__} was made for a channel of another kind")
        service.on_wire = on_wire
        self._apprise(service).notify(body="ready-made", body_format=NotifyFormat.TEXT)
        outcome: Outcome | None = service.outcome
        assert outcome is not None
        return outcome

    def mail(self, url: str, message: MailMessage, message_id: str, now: datetime) -> EmailMessage:
        """Return `message` as `send` would send it to a mail address. Raises SendError when it is none."""
        service = self._service(url)
        if not isinstance(service, NewsMail):
            raise SendError("this channel is no mail address")
        return compose(message, self._sender(service), service.targets[0], message_id, now)

    def _sender(self, service: NewsMail) -> tuple[str, str]:
        """The name and address that a mail is from: an address may be given without the name that `mail_from` has."""
        name, address = parseaddr(self.mail_from)
        own_name, own_address = str(service.from_addr[0] or ""), str(service.from_addr[1])
        return own_name or (name if own_address == address else ""), own_address

    def _apprise(self, service: Any) -> Apprise:
        apprise = Apprise(asset=self._asset)
        apprise.add(service)
        return apprise

    def _send_plain(self, service: Any, message: PlainMessage, on_wire: OnWire) -> Outcome:
        if not on_wire():
            return Outcome("lost")
        limit = int(getattr(service, "body_maxlen", 0) or 0)
        body = message.body if not limit or len(message.body) <= limit else message.body[: limit - 1] + "…"
        result = self._apprise(service).notify(body=body, title=message.title, body_format=NotifyFormat.TEXT)
        if result:
            return Outcome("sent")
        said = " ".join(str(line) for line in result.logs())
        code = re.search(r"error=(\d{3})", said)
        if code is None:
            return Outcome("unknown", detail="the service did not say whether it took the message")
        status = int(code.group(1))
        final = status in (400, 401, 403, 404, 405, 410, 413)
        return Outcome("permanent" if final else "retry", code.group(1), f"the service answered {status}")


def _from(url: str, sender: str) -> str:
    """`url` with a sender's address added."""
    return f"{url}{'&' if '?' in url else '?'}from={quote(sender)}"


def _is_port(written: str) -> bool:
    """Whether the port that an address says, if any, can be one. Apprise takes any number, and drops what is none."""
    return not written or (written.isdecimal() and 0 < int(written[:9]) < 65536)


def _kind_of(service: Any) -> Kind:
    if isinstance(service, NewsMail):
        return "mail"
    if isinstance(service, NewsSlack) and service.mode in (
        SlackMode.WEBHOOK,
        SlackMode.WEBHOOK_GOV,
        SlackMode.BOT,
    ):
        return "slack"
    return "plain"


def compose(
    message: MailMessage, sender: tuple[str, str], to: tuple[Any, str], message_id: str, now: datetime
) -> EmailMessage:
    """Return the mail as it goes out: multipart/alternative with a text and an HTML part, headers complete."""
    mail = EmailMessage(policy=_WIRE_POLICY)
    mail["Subject"] = header_text(message.subject)
    mail["From"] = _address(*sender)
    mail["To"] = _address(str(to[0] or ""), to[1])
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{message_id}>"
    for name, value in message.headers:
        mail[name] = value if value.isascii() else header_text(value)
    mail.set_content(message.text, cte="quoted-printable")
    mail.add_alternative(message.html, subtype="html", cte="quoted-printable")
    return mail


def _address(name: str, address: str) -> Address | str:
    try:
        return Address(header_text(name), addr_spec=address)
    except (ValueError, IndexError):
        # addr_spec wants ASCII; an internationalised address goes as SMTPUTF8.
        local, _, domain = address.rpartition("@")
        return Address(header_text(name), local, domain)


def header_text(text: str) -> str:
    """Return `text` fit for a header: one line, and no encoded words, through which Python 3.11 lets a publisher's
    title add headers of its own (`=?utf-8?q?x=0D=0ABcc:…?=`, CVE-2024-6923)."""
    return " ".join(text.replace("=?", "= ?").split())

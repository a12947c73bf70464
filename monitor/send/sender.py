"""The way out: an address and a message go in, an Outcome comes back."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from apprise import Apprise, AppriseAsset
from apprise.manager_plugins import NotificationManager

from monitor.errors import SendError
from monitor.render import MailMessage, PlainMessage, SlackMessage
from monitor.send import stock
from monitor.send.connections import Connections
from monitor.send.mail import NewsMail, ascii_address
from monitor.send.outcome import OnPart, OnWire, Outcome, Probe
from monitor.send.slack import OURS, NewsSlack

Kind = Literal["mail", "slack", "plain"]
Message = MailMessage | SlackMessage | PlainMessage

KEPT = 2_000  # addresses that are kept as read
# Parts named in < > are seen as none of a secret when log lines are cleaned (logs.py).
_UNREADABLE_MAIL = (
    "Apprise cannot read this {0}:// address: write {0}://<user>:<password>@<host>:<port>?to=<someone@their.domain>"
)
_NO_PORT = "the port of this {}:// address is not a number from 1 to 65535"
_ONE = "a channel has exactly one recipient, and this {}:// address has {}: give each recipient a channel of their own"

# Services whose plugin finds a recipient by itself where the address names none: whoever wrote to the bot last, or all
# rooms. Where the names are kept, and what they are called.
_NAMED = {
    "Telegram": (("targets",), "the chat's id"),
    "ntfy": (("topics",), "the topic"),
    "Matrix": (("rooms", "users"), "the room"),
}


class Sender:
    """Sends messages to Apprise addresses, one recipient and one call each. Thread-safe; blocks its caller.

    Made from the one `before`, it takes over the kept connections.
    """

    def __init__(self, mail_from: str = "", before: Sender | None = None) -> None:
        self.mail_from = ascii_address(mail_from)
        self.connections: Connections = Connections() if before is None else before.connections
        manager = NotificationManager()
        manager.add(NewsMail, force=True)
        manager.add(NewsSlack, force=True)
        # A call of its own in the caller's thread: Apprise's pool blocks healthy services behind hung ones, and a
        # timeout there does not stop the send (notes on delivery, section 1.2).
        # Answers are not followed elsewhere, and no picture of a third party is shown in each message.
        self._asset = AppriseAsset(
            service_timeout=0,
            async_mode=False,
            app_id="News Monitor",
            http_redirects=False,
            image_url_mask="",
            image_url_logo="",
        )
        self._lock = threading.Lock()
        self._read: OrderedDict[str, NewsMail | NewsSlack] = OrderedDict()

    def close(self) -> None:
        """Say goodbye to the mail servers; what is still being sent ends first."""
        self.connections.close()

    def check(self, url: str) -> str:
        """Return what is wrong with a channel's address and how to mend it, or "" when it is good. Sends nothing."""
        try:
            self._service(url)
        except SendError as error:
            return str(error)
        return ""

    def kind(self, url: str) -> Kind:
        """Return which form of message an address wants. Raises SendError when the address cannot be used."""
        service = self._service(url)
        if isinstance(service, NewsMail):
            return "mail"
        return "slack" if isinstance(service, NewsSlack) and service.mode in OURS else "plain"

    def keeps_threads(self, url: str) -> bool:
        """Whether `send` wants to know the `thread` at this address. Raises SendError when it cannot be used."""
        service = self._service(url)
        return isinstance(service, NewsSlack) and service.keeps_threads

    def room(self, url: str) -> int:
        """Return how many characters a message without markup may have at this address, so that little is split.

        Raises SendError.
        """
        return stock.room(self._service(url))

    def send(
        self,
        url: str,
        message: Message,
        message_id: str,
        now: datetime,
        on_wire: OnWire = lambda: True,
        thread: str = "",
        went: int = 0,
        on_part: OnPart = lambda _: True,
    ) -> Outcome:
        """Send `message`, calling `on_wire` just before its bytes go out.

        `message_id` names the message to receivers, without angle brackets; it is the same for every attempt, and `now`
        should be: it is the mail's date. `thread` is the receipt of the message that this one follows, which Slack's
        bots need; mails say it in their headers. Where the service has no room for the whole, it goes in parts: not the
        first `went`, and `on_part` is called after each but the last.
        Raises SendError when the address cannot be used; whatever a server does is an Outcome.
        """
        service = self._service(url)
        if isinstance(service, NewsMail) and isinstance(message, MailMessage):
            return service.deliver(self.connections, message, self._sender(service), message_id, now, on_wire)
        if isinstance(service, NewsSlack) and isinstance(message, SlackMessage):
            return service.deliver(message, on_wire, thread)
        if isinstance(message, PlainMessage):
            return self._send_parts(url, service, message, message_id, on_wire, went, on_part)
        raise SendError(f"a {type(message).__name__} was made for a channel of another kind")

    def probe(self, url: str) -> Probe:
        """Say how a channel looks without sending by it: log in to a mail server, ask Slack about a bot's token.

        Raises SendError.
        """
        service = self._service(url)
        if isinstance(service, NewsMail):
            return service.probe(self.connections)
        if isinstance(service, NewsSlack):
            return service.probe()
        return Probe("untested", f"{service.service_name} tells nothing before it is used")

    def login(self, url: str) -> str:
        """Return what names the login of an address: two mail channels of one server and user share it.

        Raises SendError.
        """
        service = self._service(url)
        return repr(service.server) if isinstance(service, NewsMail) else url

    def mail(self, url: str, message: MailMessage, message_id: str, now: datetime) -> EmailMessage:
        """Return `message` as `send` would send it to a mail address. Raises SendError when it is none."""
        service = self._service(url)
        if not isinstance(service, NewsMail):
            raise SendError("this channel is no mail address")
        return service.compose(message, self._sender(service), message_id, now)

    def _send_parts(
        self,
        url: str,
        service: Any,
        message: PlainMessage,
        message_id: str,
        on_wire: OnWire,
        went: int,
        on_part: OnPart,
    ) -> Outcome:
        """Send a message that may be longer than the service allows, but for the parts that `went`."""
        parts = stock.pieces(service, message)
        if not on_wire():
            return Outcome("lost")
        outcome = Outcome("sent", detail=stock.TAKEN)  # where all parts went before
        for number, part in enumerate(parts[went:], went + 1):
            # A plugin remembers what it delivered, so each part has one of its own.
            identity = message_id if len(parts) == 1 else f"{number}.{message_id}"
            outcome = stock.deliver(self._instance(url), Apprise(asset=self._asset), part, identity)
            if outcome.kind != "sent":
                return outcome
            if number < len(parts) and not on_part(number):
                return Outcome("lost")
        return outcome

    def _service(self, url: str) -> Any:
        """The plugin for an address. Ours are kept: reading an address takes Apprise longer than sending a mail."""
        with self._lock:
            kept = self._read.get(url)
        if kept is not None:
            return kept
        service = self._checked(url)
        if isinstance(service, NewsMail | NewsSlack):
            with self._lock:
                self._read[url] = service
                while len(self._read) > KEPT:
                    self._read.popitem(last=False)
        return service

    def _checked(self, url: str) -> Any:
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
            recipients = len(service.targets) + len(service.cc) + len(service.bcc)
        else:
            if not _is_port(str(getattr(service, "port", None) or "")):
                raise SendError(_NO_PORT.format(scheme))
            recipients = len(service)
            places, called = _NAMED.get(str(service.service_name), ((), ""))
            if places and not any(getattr(service, place) for place in places):
                raise SendError(f"this {scheme}:// address names no recipient: add {called} at its end")
        if recipients > 1:
            raise SendError(_ONE.format(scheme, recipients))
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

    def _sender(self, service: NewsMail) -> tuple[str, str]:
        """The name and address that a mail is from: an address may be given without the name that `mail_from` has."""
        name, address = parseaddr(self.mail_from)
        own_name, own_address = str(service.from_addr[0] or ""), str(service.from_addr[1])
        return own_name or (name if own_address == address else ""), own_address


def _from(url: str, sender: str) -> str:
    """`url` with a sender's address added."""
    return f"{url}{'&' if '?' in url else '?'}from={quote(sender)}"


def _is_port(written: str) -> bool:
    """Whether the port that an address says, if any, can be one. Apprise takes any number, and drops what is none."""
    return not written or (written.isdecimal() and 0 < int(written[:9]) < 65536)

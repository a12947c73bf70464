"""Mail: Apprise's plugin with a message, connections and outcomes of our own."""

from __future__ import annotations

import smtplib
import ssl
from binascii import b2a_qp
from collections.abc import Iterable, Mapping
from datetime import datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP, EmailPolicy
from email.utils import format_datetime, parseaddr
from hashlib import sha256
from typing import Any

from apprise.plugins.email.base import NotifyEmail
from apprise.utils.parse import is_email, parse_emails

from monitor.logs import redact
from monitor.render import MailMessage
from monitor.render.escape import header_text
from monitor.send.connections import PORTS, Connection, Connections, LoginError, Server
from monitor.send.outcome import DETAIL_LIMIT, OnWire, Outcome, Probe, from_smtp
from monitor.urls import ascii_domain

# The standard policy folds a long List-Unsubscribe into an encoded word, which kills one-click (cpython #85725). Texts,
# however, must be folded: an encoded word has 75 characters at most (RFC 2047, section 2).
_TEXT, _WIDE = SMTP.clone(max_line_length=76), SMTP.clone(max_line_length=998)
_TEXTS = frozenset({"subject", "from", "to", "reply-to"})


class _WirePolicy(EmailPolicy):
    """Folds the fields that hold texts or names as usual, and no other."""

    def fold_binary(self, name: str, value: str) -> bytes:
        """Return a field as it goes over the wire."""
        usual = _TEXT if name.lower() in _TEXTS else _WIDE
        if name.lower() == "subject" and not self.utf8 and not value.isascii():
            # Beside encoded words the usual way doubles blanks, or loses them (cpython #92081): encoded as a whole.
            whole = Header(value, "utf-8", header_name=name).encode(linesep="\r\n")
            return f"{name}: {whole}\r\n".encode("ascii")
        return (usual.clone(utf8=True) if self.utf8 else usual).fold_binary(name, value)


_WIRE = _WirePolicy(linesep="\r\n", max_line_length=998)
_WIRE_UTF8 = _WIRE.clone(utf8=True)  # header fields as RFC 6532 has them, for addresses that are not ASCII
_OURS = frozenset({
    "subject", "from", "to", "cc", "bcc", "date", "message-id", "mime-version", "content-type",
    "content-transfer-encoding", "list-id", "list-unsubscribe", "list-unsubscribe-post", "auto-submitted",
    "references", "in-reply-to",
})  # fmt: skip


class NewsMail(NotifyEmail):
    """Apprise's mail plugin: it reads the address, and `deliver` sends a ready-made message to its one recipient."""

    def __init__(self, targets: Any = None, from_addr: Any = None, **options: Any) -> None:
        # Apprise drops every address that is not ASCII. A domain has an ASCII form; a local part has none (RFC 6531),
        # so such a recipient is put in after Apprise has dropped it. And in a list Apprise reads a top-level domain as
        # letters alone, which makes of ruth@x.xn--p1ai the address of somebody else at x.xn.
        written = [targets] if isinstance(targets, str) else list(targets or ())
        readable = [ascii_address(address) for address in written]
        whole = [is_email(address) for address in readable]
        cut = {one["full_email"]: one["name"] for one in whole if one and one["full_email"] not in _listed(one)}
        listed = [a for a, one in zip(readable, whole, strict=True) if not one or one["full_email"] not in cut]
        super().__init__(targets=listed or [*cut][:1], from_addr=ascii_address(from_addr or ""), **options)
        if not listed:
            self.targets.clear()
        self.targets += [(name or False, address) for address, name in cut.items()]
        self.targets += [
            (name or False, address) for name, address in map(parseaddr, readable) if _is_international(address)
        ]

    @property
    def server(self) -> Server:
        """The mail server of this address."""
        mode = str(self.secure_mode)
        port = int(self.port or PORTS.get(mode, 25))
        return Server(self.smtp_host, port, mode, self.user or "", self.password or "", bool(self.verify_certificate))

    def compose(
        self, message: MailMessage, sender: tuple[str, str], message_id: str, now: datetime, *, html: bool = True
    ) -> EmailMessage:
        """Return the mail as it goes out to the one recipient; see `compose`."""
        return compose(message, sender, self.targets[0], message_id, now, self._extra(), html=html)

    def _extra(self) -> list[tuple[str, str]]:
        """What the address itself asks for: `reply=`, and `+Header=` where the header is none of ours."""
        own: Mapping[str, str] = self.headers
        fields = [(name, " ".join(value.split())) for name, value in own.items() if name.lower() not in _OURS]
        if self.reply_to:
            fields.append(("Reply-To", ", ".join(sorted(self.reply_to))))
        return fields

    def deliver(
        self,
        connections: Connections,
        message: MailMessage,
        sender: tuple[str, str],
        message_id: str,
        now: datetime,
        on_wire: OnWire,
    ) -> Outcome:
        """Send `message`; never raises for what a server does.

        A server that has hung up on a kept connection, or says 421 there, gets the message by a fresh one, once: up to
        then nothing of it has gone out.
        """
        for fresh in (False, True):
            try:
                connection = connections.take(self.server, fresh=fresh)
            except Exception as error:  # noqa: BLE001 - told as an outcome; see _trouble
                return self._trouble(error)
            was_kept = connection.used > 0
            dialogue = _Dialogue(connection, on_wire)
            try:
                outcome = self._transact(dialogue, message, sender, message_id, now)
            except (OSError, smtplib.SMTPException, ValueError) as error:
                connection.smtp.close()
                connections.done(connection)
                if was_kept and not dialogue.started:
                    continue
                return self._trouble(error, may_be_delivered=dialogue.ended)
            if outcome.code == "421":
                connections.done(connection)
                connection.close()
                if was_kept and not dialogue.started:
                    continue
            elif outcome.kind == "sent" or dialogue.reset():
                connections.give_back(connection)
            else:
                connections.done(connection)
                connection.close()
            return outcome
        raise AssertionError("a fresh connection was not kept")

    def probe(self, connections: Connections) -> Probe:
        """Log in to the mail server, send nothing, and say how it went."""
        server = self.server
        where = f"{server.host}:{server.port}"
        try:
            connection = connections.take(server, fresh=True)
        except Exception as error:  # noqa: BLE001 - told as a finding; see _trouble
            said = self._trouble(error).detail
            fix = "check host, port and firewall; many networks block port 25"
            if isinstance(error, LoginError):
                fix = (
                    "check user and password; Gmail and Office 365 want one made for programs (docs/howto/channels.md)"
                )
            return Probe("bad", said if where in said else f"{where}: {said}", fix)
        smtp = connection.smtp
        secure = smtp.sock.version() if isinstance(smtp.sock, ssl.SSLSocket) else ""
        most = smtp.esmtp_features.get("size", "")
        connections.done(connection)
        connection.close()
        said = f"{where} answers{f' and lets {server.user} in' if server.user and server.password else ''}"
        said += f", {secure or 'without TLS'}" + (f", mails up to {int(most):,} bytes" if most.isdecimal() else "")
        if not secure and not is_here(server.host):
            return Probe(
                "warning", said, "use mailtos:// so that neither the password nor mails can be read on the way"
            )
        return Probe("good", said)

    def _transact(
        self, dialogue: _Dialogue, message: MailMessage, sender: tuple[str, str], message_id: str, now: datetime
    ) -> Outcome:
        smtp, to = dialogue.smtp, self.targets[0][1]
        options = []
        if not (sender[1] + to).isascii():
            if not smtp.has_extn("smtputf8"):
                return Outcome(
                    "permanent",
                    "smtputf8",
                    f"{to if not to.isascii() else sender[1]} has letters beyond ASCII before its @, and this mail "
                    "server cannot carry such addresses (SMTPUTF8): use another address or another server",
                )
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        content = self.compose(message, sender, message_id, now).as_bytes()
        most = smtp.esmtp_features.get("size", "")
        if most.isdecimal() and 0 < int(most) < len(content):
            content = self.compose(message, sender, message_id, now, html=False).as_bytes()
            if len(content) > int(most):
                return Outcome(
                    "permanent",
                    "size",
                    f"the mail has {len(content):,} bytes, even without its HTML part, and this server takes "
                    f"{int(most):,} at most",
                )
        if smtp.has_extn("size"):
            options.append(f"SIZE={len(content)}")
        return dialogue.send(sender[1], to, options, content)

    def _trouble(self, error: Exception, *, may_be_delivered: bool = False) -> Outcome:
        if isinstance(error, LoginError):
            return from_smtp("login", error.code, error.text)
        if isinstance(error, smtplib.SMTPResponseException):
            return from_smtp("greeting", error.smtp_code, error.smtp_error)
        where = f"{self.smtp_host}:{self.server.port}"
        said = str(error)
        if isinstance(error, ssl.SSLCertVerificationError):
            said = f"its certificate is not trusted ({error.verify_message})"
        elif isinstance(error, ssl.SSLError) and "WRONG_VERSION_NUMBER" in said:
            said = "it does not begin with TLS: use mode=starttls, or the port of implicit TLS (465)"
        elif isinstance(error, smtplib.SMTPNotSupportedError) and "STARTTLS" in said:
            said = "it offers no STARTTLS: use mode=ssl with port 465, or mailto:// for a server without TLS"
        detail = redact(f"{where}: {said}")[:DETAIL_LIMIT]
        return Outcome("unknown" if may_be_delivered else "retry", type(error).__name__, detail)


class _Dialogue:
    """One transaction. `started`: the server was asked to take the message; `ended`: all of it has gone out."""

    def __init__(self, connection: Connection, on_wire: OnWire) -> None:
        self.smtp = connection.smtp
        self.started = self.ended = False
        self._on_wire = on_wire

    def send(self, sender: str, to: str, options: list[str], content: bytes) -> Outcome:
        """Send `content`, whose lines, the last too, end in CRLF."""
        code, text = self.smtp.mail(sender, options)
        if code != 250:
            return from_smtp("from", code, text)
        code, text = self.smtp.rcpt(to)
        if code not in (250, 251):
            return from_smtp("to", code, text)
        if not self._on_wire():
            return Outcome("lost")
        assert content.endswith(b"\r\n")
        self.started = True
        code, text = self.smtp.docmd("DATA")
        if code != 354:
            return from_smtp("data", max(code, 400), text)
        # Where this fails, the dot that ends the message was not handed to the network, so no server takes it.
        self.smtp.send((b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")
        self.ended = True
        return from_smtp("data", *self.smtp.getreply())

    def reset(self) -> bool:
        """Take the transaction back; False when the connection is of no more use."""
        try:
            return self.smtp.rset()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False


def compose(
    message: MailMessage,
    sender: tuple[str, str],
    to: tuple[Any, str],
    message_id: str,
    now: datetime,
    extra: Iterable[tuple[str, str]] = (),
    *,
    html: bool = True,
) -> EmailMessage:
    """Return a mail, headers complete: multipart/alternative with a text and an HTML part, or the text alone.

    `message_id` comes without its brackets; `extra` are further header fields.
    """
    mail = EmailMessage(policy=_WIRE if (sender[1] + to[1]).isascii() else _WIRE_UTF8)
    mail["Subject"] = header_text(message.subject)
    mail["From"] = _address(*sender)
    mail["To"] = _address(str(to[0] or ""), to[1])
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{message_id}>"
    for name, value in (*message.headers, *extra):
        mail[name] = header_text(value)
    mail["MIME-Version"] = "1.0"
    if html:
        # The same for each attempt, and "=_" stands nowhere in quoted-printable.
        mail["Content-Type"] = f'multipart/alternative; boundary="=_{sha256(message_id.encode()).hexdigest()[:32]}"'
        mail.set_payload([_part(message.text, "plain"), _part(message.html, "html")])
    else:
        _fill(mail, message.text, "plain")
    return mail


def _part(text: str, subtype: str) -> MIMEPart:
    part = MIMEPart(policy=_WIRE)
    _fill(part, text, subtype)
    return part


def _fill(part: MIMEPart, text: str, subtype: str) -> None:
    # By hand, because set_content() encodes in Python, character by character, and with lines of up to the policy's
    # 998 characters, where RFC 2045 allows 76.
    part["Content-Type"] = f'text/{subtype}; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "quoted-printable"
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    # Quoted-printable allows no blanks at line ends, and b2a_qp makes lines of 77 characters of them.
    whole = "\n".join(line.rstrip(" \t") for line in lines).rstrip("\n") + "\n"
    part.set_payload(b2a_qp(whole.encode("utf-8", "replace"), istext=True).decode("ascii"))


def is_here(host: str) -> bool:
    """Whether a host is this machine, as far as its name says."""
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _address(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(header_text(name), local, domain)


def ascii_address(written: str) -> str:
    """Return an address, maybe with a name, with its domain in ASCII, or as it is where the domain has no such form."""
    before, at, domain = written.rpartition("@")
    return before + at + ascii_domain(domain.removesuffix(">")) + ">" * domain.endswith(">") if at else written


def _listed(read: Mapping[str, str]) -> list[str]:
    """Return the addresses that Apprise finds in an address of its own reading."""
    return parse_emails(read["full_email"])  # type: ignore[no-any-return]  # Apprise has no types


def _is_international(address: str) -> bool:
    """Whether `address` has a local part that is not ASCII and is else one that can be written to."""
    local, _, domain = address.rpartition("@")
    return (
        not local.isascii()
        and len(local.encode()) <= 64
        and all(character.isalnum() or character in "!#$%&'*+/=?^_`{|}~.-" for character in local)
        and "." in domain
        and domain.isascii()
        and all(label and label.replace("-", "").isalnum() for label in domain.split("."))
    )

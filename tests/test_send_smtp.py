"""Mail servers of all kinds on loopback: TLS, logins, limits, addresses, refusals, and connections that are kept."""

from __future__ import annotations

import email
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from monitor.render import MailMessage
from monitor.send import Outcome, Sender, connections
from monitor.send.mail import compose
from monitor.send.outcome import Step, from_smtp
from tests.conftest import PROJECT
from tests.make import NOW
from tests.servers import Received, dripping
from tests.tls import Authority

SENDER = "Corvid risk desk <news@corvid.example>"
MAIL = MailMessage("A title", "Text.\n", "<p>HTML</p>\n", (("Auto-Submitted", "auto-generated"),))
TITLES: list[str] = json.loads((PROJECT / "tests" / "data" / "hostile_titles.json").read_text())


class Post:
    """A mail server that counts connections. `replies` maps MAIL, RCPT, DATA to what it says once each, in turn."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        starttls: ssl.SSLContext | None = None,
        password: str = "",
        **options: Any,
    ) -> None:
        self.mails: list[Received] = []
        self.options: list[list[str]] = []
        self.replies: dict[str, list[str]] = {}
        self.sessions: set[int] = set()
        self.logins = 0
        post = self

        def authenticate(_s: SMTP, _n: Session, _e: Envelope, _m: str, given: LoginPassword) -> AuthResult:
            post.logins += 1
            return AuthResult(success=given.password == password.encode(), handled=False)

        if password:
            options |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": starttls is not None}
        if starttls is not None:
            options["tls_context"] = starttls
        options.setdefault("enable_SMTPUTF8", False)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, ssl_context=tls, **options)

    def __enter__(self) -> Post:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, name: str, said: list[str]
    ) -> Any:
        self.sessions.add(id(session.peer) ^ hash(session.peer))
        session.host_name = name
        return said

    async def handle_MAIL(self, server: SMTP, _s: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if reply := self._reply("MAIL", server):
            return reply
        envelope.mail_from = address
        self.options.append(options)
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, _s: Session, envelope: Envelope, address: str, _o: list[str]) -> str:
        if reply := self._reply("RCPT", server):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _s: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        assert envelope.mail_from is not None
        reply = self._reply("DATA", server)
        if not reply or reply == "421 gone":
            self.mails.append(Received(envelope.mail_from, list(envelope.rcpt_tos), content))
        return reply or f"250 2.0.0 Ok: queued as {len(self.mails):06X}"

    def _reply(self, step: str, server: SMTP) -> str:
        waiting = self.replies.get(step)
        reply = waiting.pop(0) if waiting else ""
        if reply == "drop":
            assert server.transport is not None
            server.transport.abort()
            return "421 gone"
        return reply


def send(
    post: Post, sender: Sender | None = None, *, to: str = "ruth@corvid.example", more: str = "", **changes: Any
) -> Outcome:
    own = sender or Sender(SENDER)
    try:
        address = f"{changes.get('scheme', 'mailto')}://{changes.get('user', '')}127.0.0.1:{post.port}?to={to}{more}"
        assert own.check(address) == ""
        message = changes.get("message", MAIL)
        return own.send(address, message, "abc@corvid.example", NOW, changes.get("on_wire", lambda: True))
    finally:
        if sender is None:
            own.close()


def parsed(post: Post, index: int = -1) -> EmailMessage:
    return email.message_from_bytes(post.mails[index].content, policy=default)


@pytest.fixture
def post() -> Iterator[Post]:
    with Post() as post:
        yield post


# --- TLS and logins --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


def by_starttls(authority: Authority, **options: Any) -> Post:
    return Post(starttls=authority.server_context("127.0.0.1"), require_starttls=True, **options)


def by_tls(authority: Authority, **options: Any) -> Post:
    return Post(tls=authority.server_context("127.0.0.1"), **options)


SECURE: list[tuple[Callable[..., Post], str]] = [(by_starttls, ""), (by_tls, "&mode=ssl")]


@pytest.mark.parametrize(("make", "more"), SECURE)
def test_tls_of_both_kinds_is_spoken_to_servers_that_are_trusted(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Post], more: str
) -> None:
    with make(authority) as post:
        outcome = send(post, scheme="mailtos", more=more)
        assert (outcome.kind, outcome.code) == ("retry", "SSLCertVerificationError")
        assert "certificate is not trusted" in outcome.detail
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.trust))
        assert send(post, scheme="mailtos", more=more).kind == "sent"
        monkeypatch.delenv("SSL_CERT_FILE")
        assert send(post, scheme="mailtos", more=f"{more}&verify=no").kind == "sent"
        assert len(post.mails) == 2


def test_a_name_that_the_certificate_does_not_have_is_not_trusted(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trust))
    with Post(starttls=authority.server_context("mail.example"), require_starttls=True) as post:
        assert "certificate is not trusted" in send(post, scheme="mailtos").detail
        assert post.mails == []


def test_the_wrong_kind_of_tls_says_which_is_meant(authority: Authority, post: Post) -> None:
    assert "offers no STARTTLS" in send(post, scheme="mailtos").detail
    with by_starttls(authority) as other:
        outcome = send(other, scheme="mailtos", more="&mode=ssl")
        assert outcome.kind == "retry"
        assert "mode=starttls" in outcome.detail
        assert send(other).kind == "retry"  # mailto:// to a server that insists on STARTTLS


def test_a_login_that_is_refused_waits_and_says_so_without_the_password(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trust))
    with by_starttls(authority, password="right") as post:
        outcome = send(post, scheme="mailtos", user="ruth:s3cretwrong@", more="&from=news@corvid.example")
        assert (outcome.kind, outcome.bounce) == ("retry", "")
        assert outcome.detail.startswith("login refused: 535")
        assert "s3cret" not in repr(outcome)
        outcome = send(post, scheme="mailtos", more="&from=news@corvid.example")
        assert outcome.kind == "retry"
        assert outcome.detail.startswith("login refused: 530")
        assert send(post, scheme="mailtos", user="ruth:right@").kind == "sent"


# --- what becomes of it ----------------------------------------------------------------------------------------

REPLIES: list[tuple[Step, str, str, str]] = [
    ("to", "550 5.1.1 no such user", "permanent", "hard"),
    ("to", "550 no such user", "permanent", "hard"),
    ("to", "553 mailbox name not allowed", "permanent", "hard"),
    ("to", "551 user not local", "permanent", "hard"),
    ("to", "550 5.2.1 mailbox disabled", "permanent", "hard"),
    ("to", "552 5.2.2 mailbox full", "permanent", "soft"),
    ("to", "552 mailbox full", "permanent", "soft"),
    ("to", "452 4.2.2 mailbox full, try later", "retry", "soft"),
    ("to", "450 4.7.1 greylisted, try again in 300 seconds", "retry", ""),
    ("to", "451 4.3.0 temporary trouble", "retry", ""),
    ("to", "554 5.7.1 relay access denied", "permanent", ""),
    ("to", "550 5.7.1 blocked", "permanent", ""),
    ("to", "550 5.1.8 sender address rejected", "permanent", ""),
    ("to", "530 5.7.0 authentication required", "retry", ""),
    ("data", "550 5.1.1 no such user", "permanent", "hard"),
    ("data", "554 5.6.0 content refused", "permanent", ""),
    ("data", "552 5.2.2 over quota", "permanent", "soft"),
    ("data", "451 try later", "retry", ""),
    ("data", "550 5.4.5 Daily user sending limit exceeded", "retry", ""),
    ("to", "550 5.1.90 daily limit for message recipients reached", "retry", ""),
    ("from", "550 5.7.60 not allowed to send as this sender", "retry", ""),
    ("from", "552 5.3.4 too big", "permanent", ""),
    ("greeting", "554 5.3.2 no mail service here", "retry", ""),
    ("greeting", "421 too many connections", "retry", ""),
    ("login", "535 5.7.8 bad credentials", "retry", ""),
]


@pytest.mark.parametrize(("step", "said", "kind", "bounce"), REPLIES)
def test_a_reply_is_read_by_its_step_and_its_status(step: Step, said: str, kind: str, bounce: str) -> None:
    outcome = from_smtp(step, int(said[:3]), said[4:])
    assert (outcome.kind, outcome.code, outcome.bounce) == (kind, said[:3], bounce)
    assert said[4:] in outcome.detail


def test_what_was_taken_leaves_the_servers_queue_id(post: Post) -> None:
    assert send(post).receipt == "250 2.0.0 Ok: queued as 000001"


def test_a_connection_that_breaks_before_the_end_took_nothing_and_after_it_maybe(post: Post) -> None:
    post.replies["RCPT"] = ["drop"]
    assert send(post).kind == "retry"
    post.replies["DATA"] = ["drop"]
    assert send(post).kind == "unknown"


# --- kept connections ------------------------------------------------------------------------------------------


def test_mails_to_one_server_share_a_connection_and_a_login(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trust))
    sender = Sender(SENDER)
    with by_starttls(authority, password="right") as post:
        for name in ("ruth", "ines", "omar"):
            login = {"scheme": "mailtos", "user": "news:right@", "more": "&from=news@corvid.example"}
            assert send(post, sender, to=f"{name}@corvid.example", **login).kind == "sent"
        assert [mail.rcpt_tos for mail in post.mails] == [[f"{n}@corvid.example"] for n in ("ruth", "ines", "omar")]
        assert post.logins == 1
        sender.close()


def test_a_refused_recipient_leaves_the_connection_good_for_the_next(post: Post) -> None:
    sender = Sender(SENDER)
    post.replies |= {"RCPT": ["550 5.1.1 no such user", ""], "DATA": ["451 4.3.0 not now"]}
    kinds = [send(post, sender).kind for _ in range(3)]
    assert kinds == ["permanent", "retry", "sent"]
    assert send(post, sender, on_wire=lambda: False).kind == "lost"
    assert send(post, sender).kind == "sent"
    assert len(post.sessions) == 1
    sender.close()


@pytest.mark.parametrize("trouble", ["drop", "421 4.4.2 timeout", "421 4.7.0 too many messages"])
def test_a_server_that_has_hung_up_meanwhile_gets_the_next_mail_by_a_fresh_connection(post: Post, trouble: str) -> None:
    sender, marks = Sender(SENDER), []

    def on_wire() -> bool:
        marks.append(1)
        return True

    send(post, sender)
    post.replies["MAIL"] = [trouble]
    assert send(post, sender, on_wire=on_wire).kind == "sent"
    assert (len(post.sessions), len(post.mails), len(marks)) == (2, 2, 1)
    post.replies["MAIL"] = [trouble, trouble]
    assert send(post, sender).kind == "retry"  # a fresh one as well: the server means it
    sender.close()


def test_a_mail_that_may_have_been_taken_is_not_tried_again_by_itself(post: Post) -> None:
    sender = Sender(SENDER)
    send(post, sender)
    post.replies["DATA"] = ["drop"]
    assert send(post, sender).kind == "unknown"
    assert len(post.mails) == 2
    sender.close()


def test_a_connection_is_closed_after_many_mails_after_rest_and_at_the_end(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_MESSAGES", 2)
    sender = Sender(SENDER)
    for _ in range(5):
        send(post, sender)
    assert len(post.sessions) == 3
    sender.close()
    assert send(post, sender).kind == "sent"  # what still ends after a stop leaves nothing open
    assert sender.connections._kept == {}
    monkeypatch.setattr(connections, "IDLE", 0.0)
    monkeypatch.setattr(connections, "WATCH", 0.05)
    sender = Sender(SENDER)
    send(post, sender)
    wait_for(lambda: not sender.connections._kept and sender.connections._timer is None)


def test_a_server_that_drips_its_answers_does_not_hold_a_sender_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.5)
    monkeypatch.setattr(connections, "WATCH", 0.1)
    for heard in (b"", b"220 mail.example\r\n250 mail.example\r\n"):
        with dripping(heard + b"250-", asked=False) as port:
            sender = Sender(SENDER)
            outcome = sender.send(f"mailto://127.0.0.1:{port}?to=a@b.example", MAIL, "a@b", NOW)
            assert outcome.kind == "retry"
            assert sender.connections._in_use == {}
            sender.close()


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_threads_have_a_connection_each_and_one_context_serves_all(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trust))
    made = []
    create = ssl.create_default_context

    def counted() -> ssl.SSLContext:
        made.append(create())
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", counted)
    sender = Sender(SENDER)
    with by_starttls(authority) as post:

        def work(number: int) -> None:
            for at in range(5):
                assert send(post, sender, scheme="mailtos", to=f"r{number}.{at}@corvid.example").kind == "sent"

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len({mail.rcpt_tos[0] for mail in post.mails}) == 20
        assert sum(map(len, sender.connections._kept.values())) <= 4
        assert len(made) == 1
        sender.close()


# --- sizes and addresses ---------------------------------------------------------------------------------------


def test_a_mail_over_the_servers_size_goes_as_text_or_not_at_all() -> None:
    long = MailMessage("A title", "Text.", "<p>" + "words " * 3_000 + "</p>", ())
    longer = MailMessage("A title", "words " * 3_000, "<p>x</p>", ())
    with Post(data_size_limit=10_000) as post:
        assert send(post, message=long).kind == "sent"
        assert parsed(post).get_content_type() == "text/plain"
        assert parsed(post).get_content() == "Text.\r\n"
        outcome = send(post, message=longer)
        assert (outcome.kind, outcome.code, outcome.bounce) == ("permanent", "size", "")
        assert "takes 10,000 at most" in outcome.detail
        assert send(post).kind == "sent"
        assert parsed(post).get_content_type() == "multipart/alternative"
        size = next(option for option in post.options[-1] if option.startswith("SIZE="))
        assert int(size[5:]) == len(post.mails[-1].content)


@pytest.mark.parametrize("written", ["ruth@почта.рф", "ruth@xn--80a1acny.xn--p1ai"])
def test_an_international_top_level_domain_is_not_cut(post: Post, written: str) -> None:
    assert send(post, to=written).kind == "sent"
    assert post.mails[0].rcpt_tos == ["ruth@xn--80a1acny.xn--p1ai"]


def test_an_international_domain_goes_in_its_ascii_form(post: Post) -> None:
    assert send(post, to="ruth@Bücher.example", more="&from=news@müller.example").kind == "sent"
    assert post.mails[0].rcpt_tos == ["ruth@xn--bcher-kva.example"]
    assert post.mails[0].mail_from == "news@xn--mller-kva.example"
    assert post.mails[0].content.isascii()
    assert "SMTPUTF8" not in post.options[0]


def test_an_international_local_part_needs_a_server_that_can_carry_it(post: Post) -> None:
    outcome = send(post, to="jörg@bücher.example")
    assert (outcome.kind, outcome.code) == ("permanent", "smtputf8")
    assert "jörg@xn--bcher-kva.example has letters beyond ASCII" in outcome.detail
    with Post(enable_SMTPUTF8=True) as able:
        assert send(able, to="Jörg <jörg@bücher.example>").kind == "sent"
        assert able.mails[0].rcpt_tos == ["jörg@xn--bcher-kva.example"]
        assert "SMTPUTF8" in able.options[0]
        assert "To: Jörg <jörg@xn--bcher-kva.example>\r\n" in able.mails[0].content.decode()
        assert send(able, to="ruth@corvid.example").kind == "sent"
        assert "SMTPUTF8" not in able.options[1]


def test_what_the_address_asks_for_is_in_the_mail_but_no_header_of_ours_twice(post: Post) -> None:
    more = "&reply=desk@corvid.example&%2BX-SES-CONFIGURATION-SET=news&%2BSubject=other&%2BBcc=x@evil.example"
    assert send(post, more=more).kind == "sent"
    mail = parsed(post)
    assert (mail["Reply-To"], mail["X-SES-CONFIGURATION-SET"]) == ("desk@corvid.example", "news")
    assert (mail.get_all("Subject"), mail["Bcc"]) == (["A title"], None)


def test_hostile_recipients_reach_nobody_but_themselves(shared_data: Path) -> None:
    addresses = json.loads((shared_data / "hostile" / "email_injection" / "addresses.json").read_text())
    sender = Sender(SENDER)
    with Post() as post:
        for address in addresses:
            url = f"mailto://127.0.0.1:{post.port}?to={address}"
            if sender.check(url) == "":
                sender.send(url, MAIL, "abc@corvid.example", NOW)
        for mail in post.mails:
            assert len(mail.rcpt_tos) == 1
            assert "evil" not in mail.rcpt_tos[0]
    sender.close()


# --- the message on the wire -----------------------------------------------------------------------------------


def hostile_titles(shared: Path | None = None) -> list[str]:
    if shared is None:
        return TITLES
    folder = shared / "hostile"
    found: list[str] = json.loads((folder / "email_injection" / "titles.json").read_text())
    found += json.loads((folder / "slack_chat_injection" / "titles.json").read_text())
    found += json.loads((folder / "naughty_strings" / "blns.json").read_text())
    return found + list(json.loads((folder / "unicode" / "titles.json").read_text()).values())


def assert_whole(post: Post, title: str) -> None:
    """The last mail is one that all read alike: its own headers, two parts, one recipient."""
    raw, mail = post.mails[-1].content, parsed(post)
    head = raw.partition(b"\r\n\r\n")[0]
    names = [line.split(b":")[0].decode().lower() for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
    assert sorted(names) == sorted(
        ["subject", "from", "to", "date", "message-id", "auto-submitted", "list-id", "mime-version", "content-type"]
    ), title
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", raw), title
    assert max(map(len, raw.split(b"\r\n"))) <= 998, title
    assert post.mails[-1].rcpt_tos == ["ruth@corvid.example"]
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"], title
    assert not mail.defects, title
    assert mail.get_all("Message-ID") == ["<abc@corvid.example>"]


def test_no_title_forges_a_header_or_breaks_a_mail(post: Post) -> None:
    check_titles(post, hostile_titles())


def test_nor_does_one_of_the_shared_data(post: Post, shared_data: Path) -> None:
    check_titles(post, hostile_titles(shared_data))


def check_titles(post: Post, titles: list[str]) -> None:
    sender = Sender(SENDER)
    for title in titles:
        headers = (("Auto-Submitted", "auto-generated"), ("List-Id", f"{title} <topic.corvid.example>"))
        message = MailMessage(title[:300], f"{title}\n.\n..\nEnd\n", f"<p>{title}</p>", headers)
        assert send(post, sender, message=message).kind == "sent", title
        assert_whole(post, title)
    assert len(post.mails) == len(titles)
    sender.close()


def test_smuggled_ends_of_mails_stay_within_theirs(post: Post, shared_data: Path) -> None:
    for path in sorted((shared_data / "hostile" / "smtp_smuggling").iterdir()):
        text = path.read_bytes().decode("latin-1")
        message = MailMessage("A title", text, f"<p>{text}</p>", (("List-Id", "<t.c>"), ("Auto-Submitted", "x")))
        assert send(post, message=message).kind == "sent"
        assert_whole(post, path.name)
    assert len(post.mails) == len(list((shared_data / "hostile" / "smtp_smuggling").iterdir()))


def test_both_parts_come_back_as_they_were_in_lines_of_76(post: Post) -> None:
    text = "Zürich – “quoted” = 1 €\n" + "long " * 300 + "\n.\n..leading dots\n\ttab\nEnd\n"
    send(post, message=MailMessage("Ü" * 150, text, f"<p>{text}</p>\n", MAIL.headers))
    plain, html = (part.get_content().replace("\r\n", "\n") for part in parsed(post).iter_parts())
    assert (plain, html) == (text.replace(" \n", "\n"), f"<p>{text}</p>\n".replace(" \n", "\n"))
    assert parsed(post)["Subject"] == "Ü" * 150
    head = post.mails[0].content.partition(b"\r\n\r\n")[0].decode()
    words = re.findall(r"=\?\S+?\?[bq]\?\S*?\?=", head)
    assert len(words) > 4
    assert max(map(len, words)) <= 75
    assert max(map(len, head.partition("\r\nDate:")[0].split("\r\n"))) <= 76
    body = post.mails[0].content.partition(b"\r\n\r\n")[2]
    assert max(map(len, body.split(b"\r\n"))) <= 76


def test_every_attempt_is_the_same_mail_to_the_byte() -> None:
    first, second = (
        compose(MAIL, ("News", "news@corvid.example"), ("", "a@b.example"), "abc@corvid.example", NOW).as_bytes()
        for _ in range(2)
    )
    assert first == second
    assert b"\r\nDate: Wed, 25 Nov 2026 09:00:00 +0000\r\n" in first

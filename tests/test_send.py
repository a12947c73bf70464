"""Messages to real servers on loopback: what went over the wire, and what became of it."""

from __future__ import annotations

import email
import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from monitor.errors import SendError
from monitor.render import MailMessage, PlainMessage, SlackMessage
from monitor.render.escape import header_text
from monitor.send import Outcome, Sender
from monitor.send.mail import compose
from tests.make import NOW
from tests.servers import MailServer

MAIL = MailMessage(
    "Sanctions: Kolva’s port is closed",
    "Text part with a line.\n",
    "<p>HTML <b>part</b></p>\n",
    (("List-Unsubscribe", "<https://desk.corvid.example/u/" + "x" * 80 + ">"), ("Auto-Submitted", "auto-generated")),
)
SENDER = "Corvid risk desk <news@corvid.example>"


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


def url(port: int, to: str = "ruth@corvid.example") -> str:
    return f"mailto://127.0.0.1:{port}?to={to}"


def send_mail(port: int, message: MailMessage = MAIL, to: str = "ruth@corvid.example") -> Outcome:
    return Sender(SENDER).send(url(port, to), message, "abc@corvid.example", NOW)


def received(server: MailServer, index: int = 0) -> EmailMessage:
    return email.message_from_bytes(server.mails[index].content, policy=default)


def test_a_mail_arrives_as_one_text_and_one_html_part_under_its_own_message_id(mail_server: MailServer) -> None:
    outcome = send_mail(mail_server.port)
    assert (outcome.kind, outcome.code) == ("sent", "250")
    mail = received(mail_server)
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert mail.get_all("Message-ID") == ["<abc@corvid.example>"]
    assert mail["Subject"] == MAIL.subject
    assert mail["From"] == SENDER
    assert mail["To"] == "ruth@corvid.example"
    assert mail_server.mails[0].mail_from == "news@corvid.example"
    assert mail_server.mails[0].rcpt_tos == ["ruth@corvid.example"]


def test_a_subject_is_read_as_it_was_written_wherever_it_is_folded() -> None:
    words = "Varkan interior troops take over two Kolva river crossings " * 3
    for length in range(20, 160, 3):
        for end in ("…", "… und Übung", " قوات فاركان"):
            subject = " ".join(words[:length].split()) + end
            mail = compose(replace(MAIL, subject=subject), ("", "a@b.example"), ("", "c@d.example"), "id", NOW)
            assert email.message_from_bytes(mail.as_bytes(), policy=default)["Subject"] == subject


def test_a_long_list_unsubscribe_stays_on_one_line_so_that_one_click_works(mail_server: MailServer) -> None:
    send_mail(mail_server.port)
    raw = mail_server.mails[0].content.decode()
    assert f"List-Unsubscribe: {MAIL.headers[0][1]}\r\n" in raw


def test_no_line_on_the_wire_is_overlong_or_ends_without_its_carriage_return(mail_server: MailServer) -> None:
    long = MailMessage("x" * 300, "word " * 2000, "<p>" + "word " * 2000 + "</p>", ())
    assert send_mail(mail_server.port, long).kind == "sent"
    raw = mail_server.mails[0].content
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", raw)


HEADLINES = [
    "=?utf-8?q?Title=0D=0ABcc:_x@evil.example?=",
    "Title\r\nBcc: x@evil.example",
    "Title\nX-Spam: no",
    "=?utf-8?b?VGl0bGUNCkJjYzogeEBldmlsLmV4YW1wbGU=?= and more",
]


@pytest.mark.parametrize("headline", HEADLINES)
def test_a_headline_adds_no_header(mail_server: MailServer, headline: str) -> None:
    assert send_mail(mail_server.port, MailMessage(headline, "t", "<p>h</p>", ())).kind == "sent"
    mail = received(mail_server)
    assert mail["Bcc"] is None
    assert mail["X-Spam"] is None
    assert b"\r\nBcc" not in mail_server.mails[0].content


def test_a_header_loses_encoded_words_and_line_breaks_and_keeps_the_rest() -> None:
    assert header_text(" Zürich: =?utf-8?q?a?=\r\n b ") == "Zürich: = ?utf-8?q?a?= b"


REPLIES = [
    ("RCPT", "550 5.1.1 no such user", "permanent", "550"),
    ("RCPT", "451 4.7.1 greylisted, try later", "retry", "451"),
    ("MAIL", "421 4.3.2 shutting down", "retry", "421"),
    ("DATA", "552 5.2.2 mailbox full", "permanent", "552"),
    ("DATA", "452 4.2.2 try later", "retry", "452"),
]


@pytest.mark.parametrize(("step", "reply", "kind", "code"), REPLIES)
def test_a_refusal_is_read_from_the_servers_own_words(
    mail_server: MailServer, step: str, reply: str, kind: str, code: str
) -> None:
    mail_server.replies[step] = reply
    outcome = send_mail(mail_server.port)
    assert (outcome.kind, outcome.code) == (kind, code)
    assert reply.partition(" ")[2] in outcome.detail


def test_a_server_that_is_not_there_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outcome = send_mail(port)
    assert outcome.kind == "retry"
    assert f"127.0.0.1:{port}" in outcome.detail


def test_a_connection_that_breaks_after_the_message_leaves_it_unknown(mail_server: MailServer) -> None:
    mail_server.replies["DATA"] = "drop"
    outcome = send_mail(mail_server.port)
    assert outcome.kind == "unknown"
    assert len(mail_server.mails) == 1


def test_nothing_goes_out_when_the_lease_is_lost(mail_server: MailServer) -> None:
    outcome = Sender(SENDER).send(url(mail_server.port), MAIL, "a@b", NOW, on_wire=lambda: False)
    assert outcome.kind == "lost"
    assert mail_server.mails == []


def test_the_wire_mark_is_made_before_the_bytes_go_out(mail_server: MailServer) -> None:
    seen: list[int] = []

    def on_wire() -> bool:
        seen.append(len(mail_server.mails))
        return True

    Sender(SENDER).send(url(mail_server.port), MAIL, "a@b", NOW, on_wire)
    assert (seen, len(mail_server.mails)) == ([0], 1)


ADDRESSES = [
    ("mailto://127.0.0.1:25?to=a@b.example", ""),
    ("mailtos://user:secret-word@smtp.example.org:587?to=a@b.example", ""),
    ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7", ""),
    ("json://127.0.0.1:8000/hook", ""),
    ("pigeon://coop", "Apprise knows no service `pigeon://`"),
    ("slack://nope", "Apprise cannot read this slack:// address"),
    ("mailto://", "Apprise cannot read this mailto:// address"),
    ("mailto://127.0.0.1:25?to=a@b.example,c@d.example", "exactly one recipient"),
    ("mailto://127.0.0.1:25?to=a@b.example&cc=c@d.example", "exactly one recipient"),
]


@pytest.mark.parametrize(("address", "wrong"), ADDRESSES)
def test_an_address_is_checked_before_anything_is_sent(address: str, wrong: str) -> None:
    found = Sender(SENDER).check(address)
    assert (wrong in found) if wrong else (found == "")
    assert "secret-word" not in found


def test_a_mail_address_without_any_sender_says_how_to_give_one() -> None:
    assert "add ?from=" in Sender("").check("mailto://127.0.0.1:25?to=a@b.example")


def test_an_address_that_cannot_be_used_raises() -> None:
    with pytest.raises(SendError):
        Sender(SENDER).send("pigeon://coop", MAIL, "a@b", NOW)


class Webhook:
    """A real HTTP server that records posts and answers as told."""

    def __init__(self) -> None:
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, b"ok")
        self.posts: list[tuple[str, dict[str, Any]]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.posts.append((self.path, json.loads(body)))
                status, headers, answer = hook.answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    yield hook
    hook.close()


SLACK = SlackMessage("Sanctions: a headline", ({"type": "section", "text": {"type": "mrkdwn", "text": "x"}},))


def send_slack(hook: Webhook) -> Outcome:
    address = f"slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7/?base={hook.url}"
    return Sender().send(address, SLACK, "a@b", NOW)


def test_slack_gets_our_blocks_and_text_at_the_webhooks_own_path(webhook: Webhook) -> None:
    assert send_slack(webhook).kind == "sent"
    ((path, payload),) = webhook.posts
    assert path == "/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7"
    assert payload["text"] == SLACK.text
    assert payload["blocks"] == list(SLACK.blocks)
    assert payload["unfurl_links"] is False


SLACK_ANSWERS = [
    ((429, {"Retry-After": "7"}, b"rate_limited"), "retry", 7.0),
    ((404, {}, b"no_service"), "permanent", None),
    ((400, {}, b"invalid_blocks"), "permanent", None),
    ((500, {}, b"rollback_error"), "retry", None),
    ((503, {}, b"<html>secret-page</html>"), "retry", None),
    ((200, {}, b"<html>a login page</html>"), "unknown", None),  # who knows what stands in between
    ((302, {"Location": "http://127.0.0.1:9/"}, b""), "retry", None),
]


@pytest.mark.parametrize(("answer", "kind", "retry_after"), SLACK_ANSWERS)
def test_slacks_answer_tells_what_became_of_it(
    webhook: Webhook, answer: tuple[int, dict[str, str], bytes], kind: str, retry_after: float | None
) -> None:
    webhook.answer = answer
    outcome = send_slack(webhook)
    assert (outcome.kind, outcome.retry_after) == (kind, retry_after)
    assert "secret" not in outcome.detail


def test_another_service_gets_the_plain_message(webhook: Webhook) -> None:
    address = webhook.url.replace("http://", "json://") + "/hook"
    outcome = Sender().send(address, PlainMessage("A title", "A body"), "a@b", NOW)
    assert outcome.kind == "sent"
    ((path, payload),) = webhook.posts
    assert (path, payload["title"], payload["message"]) == ("/hook", "A title", "A body")


@pytest.mark.parametrize(("status", "kind"), [(500, "retry"), (404, "permanent"), (429, "retry")])
def test_another_services_refusal_is_read_from_what_apprise_reports(webhook: Webhook, status: int, kind: str) -> None:
    webhook.answer = (status, {}, b"no")
    address = webhook.url.replace("http://", "json://") + "/hook"
    outcome = Sender().send(address, PlainMessage("A title", "A body"), "a@b", NOW)
    assert (outcome.kind, outcome.code) == (kind, str(status))


PORTS = [
    ("mailto://127.0.0.1:99999?to=ruth@corvid.example", False),
    ("mailto://u:p@mail.example:0?to=ruth@corvid.example", False),
    ("mailtos://mail.example:smtp?to=ruth@corvid.example", False),
    ("mailto://[::1]:65536?to=ruth@corvid.example", False),
    ("mailto://u:p@127.0.0.1:99999?to=ruth@corvid.example", False),
    ("json://desk.example:70000/", False),
    ("mailto://u:p%3A1@mail.example:65535?to=ruth@corvid.example", True),
    ("mailto://mail.example?to=ruth@corvid.example", True),
    ("json://desk.example:8080/", True),
]


@pytest.mark.parametrize(("address", "good"), PORTS)
def test_a_port_that_cannot_be_is_said_before_anything_is_sent(address: str, good: bool) -> None:
    said = Sender(SENDER).check(address)
    assert (said == "") == good
    assert good or "1 to 65535" in said


def test_an_address_without_sender_says_that_it_is_the_sender_that_is_missing() -> None:
    for address in ("mailto://mail.example?to=a@b.example", "mailto://u:p@127.0.0.1?to=a@b.example"):
        assert "says no sender" in Sender().check(address)
        assert Sender(SENDER).check(address) == ""
    assert "cannot read" in Sender().check("mailto://?to=a@b.example")


FROM = [
    ("", SENDER),
    ("&from=news@corvid.example", SENDER),
    ("&from=other@corvid.example", "other@corvid.example"),
    ("&from=Night%20desk%3Cnews@corvid.example%3E", "Night desk <news@corvid.example>"),
]


@pytest.mark.parametrize(("parameter", "shown"), FROM)
def test_a_sender_keeps_the_configured_name_unless_the_address_says_another(parameter: str, shown: str) -> None:
    mail = Sender(SENDER).mail(url(2525) + parameter, MAIL, "abc@corvid.example", NOW)
    assert mail["From"] == shown


def test_a_mail_to_look_at_is_the_one_that_would_go(mail_server: MailServer) -> None:
    send_mail(mail_server.port)
    shown = Sender(SENDER).mail(url(mail_server.port), MAIL, "abc@corvid.example", NOW)
    sent = received(mail_server)
    assert [(k, v) for k, v in shown.items() if k != "Content-Type"] == [
        (k, v) for k, v in sent.items() if k != "Content-Type"
    ]
    with pytest.raises(SendError, match="no mail address"):
        Sender(SENDER).mail("json://desk.example/", MAIL, "abc@corvid.example", NOW)

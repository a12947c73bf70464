"""The preview of a digest, and a test of it sent to the operators: seen as it would go, and counted for nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel, select

from monitor.dispatch import Alert, Change, Notice, Opening
from monitor.models import Decision, Delivery, DeliveryStory, DigestSlot, DigestWindow
from monitor.pipeline import notify_operators
from monitor.pipeline.outgoing import alert_delivery, value_of
from tests.desk import MONITOR, NOW, World, world
from tests.servers import MailServer, WebServer
from tests.test_desk import text_of
from tests.test_web import FORM, Client, serving

DIGEST = "/subscribers/ruth/digest"


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def slack() -> Iterator[WebServer]:
    server = WebServer(lambda _: (500, {}, b""))
    yield server
    server.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, mail: MailServer, slack: WebServer) -> Iterator[World]:
    to = f'["mailto://127.0.0.1:{mail.port}?to=ops@corvid.example", "json://127.0.0.1:{slack.port}/x"]'
    with world(tmp_path_factory.mktemp("desk"), monitor=f"{MONITOR}operators: {to}\n") as one:
        yield one


@pytest.fixture(scope="module")
def ask(made: World) -> Iterator[Client]:
    with serving(made.web()) as client:
        yield client


def recorded(made: World) -> dict[str, list[Any]]:
    """All that says what was decided, sent, and up to when digests went."""
    found: dict[str, list[Any]] = {}
    table: type[SQLModel]
    for table in (Decision, Delivery, DeliveryStory, DigestSlot, DigestWindow):
        with made.app.store.read() as session:
            found[table.__name__] = [row.model_dump() for row in session.exec(select(table))]
    return found


def test_the_preview_says_what_an_inbox_shows_and_how_large_it_is(ask: Client) -> None:
    page = ask("GET", DIGEST).text
    told = text_of(page)
    assert re.search(r"First line in the inbox \w+.{20,} Size", told)
    assert "Under 60 KB" in told
    assert 'class="preview"' in page
    phone = ask("GET", f"{DIGEST}?form=html&width=phone").text
    assert 'class="preview phone"' in phone
    assert re.findall(r'aria-current="true">(\w+)<', phone) == ["Phone"]


def latest(made: World, subscriber: str) -> Delivery:
    with made.app.store.read() as session:
        rows = session.exec(select(Delivery).where(Delivery.subscriber == subscriber)).all()
        return max(rows, key=lambda row: row.created_at)


def test_any_of_a_subscribers_messages_is_shown_as_it_went(made: World, ask: Client) -> None:
    row, where = latest(made, "ines"), "/subscribers/ines/digest"
    alert = value_of(row)
    assert isinstance(alert, Alert)
    page = ask("GET", f"{where}?message=alert&form=text").text
    told = text_of(page)
    assert re.search(r"The latest alert to Ines Okafor, of 10:36, by mail: Held Nothing is sent\.", told)
    identity = f"Message-ID &lt;{row.message_id.partition('@')[0]}@"
    assert identity in told
    assert '<option value="alert" selected>Latest alert</option>' in page
    assert 'href="../../subscribers/ines/digest?message=alert&amp;form=html&amp;width=phone"' in page
    shown = ask("GET", f"{where}?message=alert").text
    assert 'src="../../subscribers/ines/digest/mail?message=alert"' in shown
    mail = ask("GET", f"{where}/mail?message=alert")
    assert mail.headers["Content-Security-Policy"].endswith("sandbox")
    assert "bridges close to trucks" in mail.text
    assert "by your quiet hours" in mail.text

    none = text_of(ask("GET", f"{where}?message=update").text)
    assert "There is no such message The latest update would be here." in none
    assert ask("GET", f"{where}/mail?message=update").status == 404
    news = replace(alert, news=(Change("sources", "9", "5"),), opening=Opening(alert.topics, alert.story.title))
    made.app.store.outbox.add(alert_delivery(made.app, news, "later", None, NOW))
    update = text_of(ask("GET", f"{where}?message=update&form=text").text)
    assert "The latest update to Ines Okafor, of 14:32, by mail: Queued" in update
    assert identity in text_of(ask("GET", f"{where}?message=alert").text)

    notify_operators(made.app, "x", Notice("Feed kolva-herald is broken", ("Its server refuses us.",)), NOW)
    notice = text_of(ask("GET", f"{where}?message=notice").text)
    assert "The latest notice to the operators, of 14:32, by channel " in notice
    assert "Feed kolva-herald is broken" in notice
    assert "One-click" not in notice


def test_a_digest_is_shown_as_it_is_when_nothing_matches(ask: Client) -> None:
    told = text_of(ask("GET", f"{DIGEST}?message=empty&form=text").text)
    assert "What Ruth Whitcombe would get at 17:00 if nothing matched until then." in told
    assert "As empty: skip is set for them, this would not go." in re.sub(r"</?code>", "", told)
    assert "Varkan" not in told[told.index("Digest preview") :]
    assert text_of(ask("GET", f"{DIGEST}?message=x").text) == text_of(ask("GET", DIGEST).text)


def test_one_with_no_topic_in_a_digest_has_none_to_show(ask: Client) -> None:
    for message in ("", "empty"):
        told = text_of(ask("GET", f"/subscribers/kai/digest?message={message}").text)
        assert "There is no such message No subscription of Kai Brandt has a topic in a digest." in told


def test_a_message_of_another_version_is_told_as_such(made: World, ask: Client) -> None:
    with made.app.store.write() as session:
        for row in session.exec(select(Delivery).where(Delivery.subscriber == "kai")):
            row.payload = {"told": "in another way"}
    page = ask("GET", "/subscribers/kai/digest?message=alert")
    assert page.status == 200
    assert "was written by another version of News Monitor." in text_of(page.text)
    assert ask("GET", "/subscribers/kai/digest/mail?message=alert").status == 404


def test_a_test_goes_to_the_operators_at_once_and_counts_for_nobody(
    made: World, ask: Client, mail: MailServer, slack: WebServer
) -> None:
    before, page = recorded(made), ask("GET", DIGEST).text
    button = re.search(r'action="([^"]*/digest/test)">.*?name="form_token" value="(\w+)"', page)
    assert button
    answer = ask("POST", f"{DIGEST}/test", FORM, f"form_token={button[2]}".encode())
    told = text_of(answer.text)
    assert answer.status == 200
    assert "Test accepted Channel 1 of the operators." in told
    assert "Test failed Channel 2 of the operators: " in told
    assert "Digest preview" in told
    (got,) = mail.mails
    assert got.rcpt_tos == ["ops@corvid.example"]
    parsed = message_from_bytes(got.content, policy=policy.default)
    body = parsed.get_body(("html",))
    assert body is not None
    assert parsed["Subject"].startswith("Test: ")
    assert "Varkan interior troops" in body.get_content()
    whole = got.content.decode() + body.get_content()
    for key in ("/u/", "/s/", "List-Unsubscribe", "ruth@corvid.example"):  # by which one could unsubscribe Ruth
        assert key not in whole, key
    assert slack.asked[0].fields["title"].startswith("Test: ")
    assert recorded(made) == before


def test_a_test_is_of_the_message_that_is_looked_at(ask: Client, mail: MailServer) -> None:
    page, sent = ask("GET", "/subscribers/arden/digest?message=alert").text, len(mail.mails)
    button = re.search(r'action="([^"]*/digest/test\?message=alert)">.*?name="form_token" value="(\w+)"', page)
    assert button
    answer = ask("POST", "/subscribers/arden/digest/test?message=alert", FORM, f"form_token={button[2]}".encode())
    assert "The latest alert to J. Arden" in text_of(answer.text)
    assert len(mail.mails) == sent + 1
    parsed = message_from_bytes(mail.mails[-1].content, policy=policy.default)
    assert parsed["Subject"].startswith("Test: Border deployments: ")
    assert "/u/" not in mail.mails[-1].content.decode()


@pytest.mark.parametrize("body", [b"", b"form_token=guess"])
def test_nobody_but_the_desk_has_it_sent(ask: Client, mail: MailServer, body: bytes) -> None:
    sent = len(mail.mails)
    assert ask("POST", f"{DIGEST}/test", FORM, body).status == 400
    assert ask("GET", f"{DIGEST}/test").status == 405
    assert len(mail.mails) == sent


def test_without_operators_there_is_no_button_and_nothing_to_send_to(tmp_path: Path) -> None:
    with world(tmp_path) as made, serving(made.web("open-sesame")) as ask:
        key = {"Authorization": "Bearer open-sesame"}
        page = ask("GET", DIGEST, key).text
        assert "/digest/test" not in page
        assert "name a channel under <code>operators</code>" in page
        answer = ask("POST", f"{DIGEST}/test", key)
        assert answer.status == 404
        assert "names no channel to send a test to" in text_of(answer.text)

"""The preview of a digest, and a test of it sent to the operators: seen as it would go, and counted for nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel, select

from monitor.models import Decision, Delivery, DeliveryStory, DigestSlot, DigestWindow
from tests.desk import MONITOR, World, world
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

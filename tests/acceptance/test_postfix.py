"""Mails as they come out of postfix, sieve and dovecot, read back over IMAP."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import pytest

from monitor.dispatch import Alert, Digest, DigestSection, StoryView, TopicRef
from monitor.render import Links, MailMessage, Reader, Renderer, Site
from monitor.send import Outcome, Sender
from tests.acceptance.postoffice import MOST_BYTES, PostOffice, missing
from tests.conftest import PROJECT
from tests.make import NOW
from tests.tls import Authority

pytestmark = pytest.mark.acceptance

SITE = Site("Corvid risk desk", "https://desk.corvid.example", "Corvid risk desk <news@corvid.example>", "0.1")
TOKEN = "A" * 120
LINKS = Links(f"https://desk.corvid.example/u/{TOKEN}", {}, "")
READER = Reader("ruth", "Ruth Whitcombe", ZoneInfo("Europe/London"), "en")
RENDERER = Renderer()
TITLES: list[str] = json.loads((PROJECT / "tests" / "data" / "hostile_titles.json").read_text())
NAMES = ("ruth", "ines", "omar", "titles", "many", "rest", "size", "digest")
BOXES = (*(f"{name}@corvid.example" for name in NAMES), "ruth@xn--bcher-kva.example")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostOffice]:
    if lack := missing():
        if os.environ.get("MONITOR_TEST_REQUIRE_ALL"):
            pytest.fail(lack)
        pytest.skip(lack)
    authority = Authority(tmp_path_factory.mktemp("tls"))
    with pytest.MonkeyPatch.context() as patch, PostOffice(BOXES, *authority.files("127.0.0.1")) as office:
        patch.setenv("SSL_CERT_FILE", str(authority.trust))
        yield office


@pytest.fixture
def sender() -> Iterator[Sender]:
    sender = Sender("Corvid risk desk <news@corvid.example>")
    yield sender
    sender.close()


def alert(title: str, event: str, **changes: object) -> MailMessage:
    values: dict[str, object] = {
        "id": 1, "event_id": 1, "title": title, "url": "https://northernwire.example/2026/kolva", "at": NOW,
        "source": "Northern Wire", "snippet": f"Before. {title} After.", "language": "en", "event_key": event,
    }  # fmt: skip
    story = StoryView(**values | changes)  # type: ignore[arg-type]  # a test's values, by name
    value = Alert("ruth", "mail", (TopicRef("border", "Grenzübertritte", "high"),), story)
    return RENDERER.mail(value, READER, SITE, LINKS, NOW)


def send(office: PostOffice, sender: Sender, to: str, message: MailMessage, identity: str) -> Outcome:
    url = f"mailtos://127.0.0.1:{office.port}?to={to}"
    return sender.send(url, message, f"{identity}@corvid.example", NOW)


def test_a_mail_comes_back_with_its_headers_whole(office: PostOffice, sender: Sender) -> None:
    title = "Війська перейшли кордон – “Κόλβα” 国境 😀 " + "und so weiter " * 5
    outcome = send(office, sender, "ruth@corvid.example", alert(title, "e"), "one")
    assert outcome.kind == "sent"
    found = re.fullmatch(r"250 2\.0\.0 Ok: queued as ([0-9A-F]+)", outcome.receipt)
    assert found
    (mail,) = office.mails("ruth@corvid.example", 1)
    assert found.group(1) in office.log
    assert mail["List-Unsubscribe"] == f"<{LINKS.unsubscribe}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    session = office.box("ruth@corvid.example")
    raw = session.fetch("1", "(BODY.PEEK[HEADER])")[1][0][1].decode()  # type: ignore[index,union-attr]  # as imaplib has it
    session.logout()
    assert f"\r\nList-Unsubscribe: <{LINKS.unsubscribe}>\r\n" in raw
    assert "\r\nList-Id: Grenzubertritte <border.corvid.example>\r\n" in raw
    assert mail["Subject"].startswith("Grenzübertritte: Війська перейшли кордон – “Κόλβα” 国境 😀 und so")
    assert mail.get_all("Message-ID") == ["<one@corvid.example>"]
    assert mail["Date"].datetime == NOW
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "(Postfix) with ESMTPS id" in str(mail.get_all("Received"))
    text, html = (part.get_content() for part in mail.iter_parts())
    assert "Війська перейшли кордон" in text
    assert "😀" in html


def test_an_attempt_that_is_repeated_is_filed_once(office: PostOffice, sender: Sender) -> None:
    for identity in ("same", "same", "other", "same"):
        assert send(office, sender, "ines@corvid.example", alert("A title", "e"), identity).kind == "sent"
    found = sorted(mail["Message-ID"] for mail in office.mails("ines@corvid.example", 2))
    assert found == ["<other@corvid.example>", "<same@corvid.example>"]


def test_updates_of_an_event_are_in_its_thread_and_others_are_not(office: PostOffice, sender: Sender) -> None:
    told = [("First", "kolva"), ("Elsewhere", "delta"), ("An update", "kolva"), ("Another update", "kolva")]
    for number, (title, event) in enumerate(told):
        send(office, sender, "omar@corvid.example", alert(title, event, event_id=number), f"thread-{number}")
    mails = office.mails("omar@corvid.example", 4)
    session = office.box("omar@corvid.example")
    threads = session.thread("REFERENCES", "UTF-8", "ALL")[1][0].decode()
    session.logout()
    places = {str(at): mail["Message-ID"][8:9] for at, mail in enumerate(mails, 1)}
    groups = {frozenset(places[n] for n in re.findall(r"\d+", part)) for part in _top_level(threads)}
    assert groups == {frozenset("023"), frozenset("1")}


def _top_level(threads: str) -> list[str]:
    """The parts of an IMAP THREAD answer: `(2)((1)(3)(4))` has two."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(threads):
        if character == "(":
            start = at if depth == 0 else start
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                parts.append(threads[start : at + 1])
    return parts


def test_no_title_forges_a_header_on_the_way(office: PostOffice, sender: Sender) -> None:
    for number, title in enumerate(TITLES):
        assert send(office, sender, "titles@corvid.example", alert(title, "e"), f"t{number}").kind == "sent"
    mails = office.mails("titles@corvid.example", len(TITLES))
    assert len(mails) == len(TITLES)
    first = _names(mails[0])
    for mail in mails:
        assert _names(mail) == first
        assert {"Bcc", "Cc"}.isdisjoint(mail.keys())
        assert mail["From"] == "Corvid risk desk <news@corvid.example>"
        assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
        assert mail["List-Unsubscribe"] == f"<{LINKS.unsubscribe}>"


def _names(mail: EmailMessage) -> list[str]:
    return sorted(name.lower() for name in mail)


def test_refusals_of_postfix_are_told_apart(office: PostOffice, sender: Sender) -> None:
    nobody = send(office, sender, "nobody@corvid.example", alert("A title", "e"), "n")
    assert (nobody.kind, nobody.code, nobody.bounce) == ("permanent", "550", "hard")
    assert "5.1.1" in nobody.detail
    elsewhere = send(office, sender, "ruth@elsewhere.example", alert("A title", "e"), "n")
    assert (elsewhere.kind, elsewhere.code, elsewhere.bounce) == ("permanent", "554", "")
    assert "Relay access denied" in elsewhere.detail


def test_an_international_domain_is_found_in_its_ascii_form(office: PostOffice, sender: Sender) -> None:
    assert send(office, sender, "ruth@bücher.example", alert("A title", "e"), "idn").kind == "sent"
    (mail,) = office.mails("ruth@xn--bcher-kva.example", 1)
    assert mail["To"] == "ruth@xn--bcher-kva.example"


def test_a_mail_over_postfixs_size_goes_as_text_and_one_far_over_it_is_refused(
    office: PostOffice, sender: Sender
) -> None:
    long, text = "<p>" + "word " * (MOST_BYTES // 5) + "</p>", "word " * (MOST_BYTES // 5)
    headers = (("Auto-Submitted", "auto-generated"),)
    outcome = send(office, sender, "size@corvid.example", MailMessage("Long", "Text.", long, headers), "l")
    assert outcome.kind == "sent", outcome
    outcome = send(office, sender, "size@corvid.example", MailMessage("Longer", text, long, headers), "m")
    assert (outcome.kind, outcome.code) == ("permanent", "size")
    (mail,) = office.mails("size@corvid.example", 1)
    assert mail.get_content_type() == "text/plain"


def test_a_connection_that_postfix_closed_for_its_rest_is_made_anew(office: PostOffice, sender: Sender) -> None:
    for number in range(2):
        assert send(office, sender, "rest@corvid.example", alert("A title", "e"), f"r{number}").kind == "sent"
        time.sleep(4)  # postfix hangs up after three seconds here
    assert len(office.mails("rest@corvid.example", 2)) == 2
    assert office.log.count("timeout after") >= 1


def test_many_mails_of_many_threads_all_come(office: PostOffice, sender: Sender) -> None:
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(send, office, sender, "many@corvid.example", alert(f"Title {n}", f"{n}"), f"m{n}")
            for n in range(120)
        ]
    assert {job.result().kind for job in jobs} == {"sent"}
    found = {mail["Message-ID"] for mail in office.mails("many@corvid.example", 120)}
    assert found == {f"<m{n}@corvid.example>" for n in range(120)}


def test_a_large_digest_comes_back_whole(office: PostOffice, sender: Sender) -> None:
    stories = tuple(
        StoryView(
            n,
            n,
            f"Заголовок {n} – {'word ' * 12}",
            f"https://northernwire.example/{n}",
            "Wire",
            "words " * 30,
            "en",
            NOW,
        )
        for n in range(5)
    )
    topics = [TopicRef(f"t{n}", f"Topic {n}", "normal") for n in range(6)]
    digest = Digest(
        "ruth",
        "mail",
        NOW - timedelta(days=1),
        NOW,
        "2026-11-25",
        tuple(DigestSection(t, stories, 9, 4) for t in topics),
    )
    message = RENDERER.mail(digest, READER, SITE, LINKS)
    small = MailMessage(message.subject, message.text, message.html[:20_000], message.headers)
    assert send(office, sender, "digest@corvid.example", small, "d").kind == "sent"
    (mail,) = office.mails("digest@corvid.example", 1)
    text, html = (part.get_content().replace("\r\n", "\n") for part in mail.iter_parts())
    assert text == message.text
    assert html.rstrip("\n") == re.sub(r"[ \t]+\n", "\n", small.html).rstrip("\n")

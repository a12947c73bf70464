"""What each service gets, and what is read from its answers (`tests.services` are the servers)."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape

import pytest

from monitor.dispatch import Digest, DigestSection, TopicRef
from monitor.errors import SendError
from monitor.render import PlainMessage, SlackMessage
from monitor.send import Outcome, Sender
from tests.conftest import PROJECT
from tests.make import NOW
from tests.servers import Answer, Asked
from tests.services import (
    LINK,
    LINKS,
    LIVE,
    READER,
    RENDERER,
    SITE,
    SLACK,
    SLACK_BOT,
    STOCK,
    Tags,
    World,
    address,
    alert,
    assert_inert,
    send_alert,
    servers,
    story,
    texts,
    well,
    world,
)

__all__ = ["servers", "world"]  # fixtures

TITLES: list[str] = json.loads((PROJECT / "tests" / "data" / "hostile_titles.json").read_text())
PLAIN = PlainMessage("A title", "A body")


# --- what arrives ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STOCK)
def test_each_service_gets_the_alert_with_its_link_whole(world: World, name: str) -> None:
    assert send_alert(Sender(), address(world, name), story()).kind == "sent"
    (asked,) = world.asked
    said = unescape("\n".join(texts(asked)))
    assert "Border deployments: Troops sent to the frontier" in said
    assert LINK in said
    assert "github" not in said  # no picture of a third party


@pytest.mark.parametrize("name", STOCK)
def test_no_headline_pings_or_forges_a_link_at_any_service(world: World, name: str) -> None:
    sender, url = Sender(), address(world, name)
    for title in TITLES:
        world.forget()
        view = story(title, snippet=f"Before. {title} After.", source=title[:60])
        assert send_alert(sender, url, view).kind == "sent", title
        for asked in world.asked:
            assert "allowed_mentions" not in asked.fields
            for text in texts(asked):
                if name == "telegram" and text == asked.fields["text"]:
                    assert asked.fields["parse_mode"] == "HTML"
                    assert set(Tags(text).found) <= {"b"}, title
                    text = unescape(text)
                assert not LIVE.findall(text), (title, text)


@pytest.mark.parametrize("url", [SLACK, SLACK_BOT])
def test_no_headline_pings_or_forges_a_link_on_slack(world: World, url: str) -> None:
    sender = Sender()
    for title in TITLES:
        world.forget()
        assert (
            send_alert(sender, url, story(title, snippet=f"Before. {title} After.", source=title[:60])).kind == "sent"
        )
        (asked,) = world.asked
        assert_inert(asked)
        fields = asked.fields
        assert 0 < len(fields["blocks"]) <= 50
        assert len(json.dumps(fields["blocks"], ensure_ascii=False)) <= 13_200
        for element in [e for block in fields["blocks"] for e in (block.get("text"), *block.get("elements", ()))]:
            if element and element["type"] == "mrkdwn":
                assert element["verbatim"] is True
                assert len(element["text"]) <= 3_000


# --- limits ----------------------------------------------------------------------------------------------------

LIMITS = {"discord": 2_000, "telegram": 4_096, "teams": 1_000, "ntfy": 4_096, "mattermost": 4_000}


def long_body() -> str:
    return "\n\n".join(f"Headline {n} of many 🛳 words\nNorthern Wire, 09:12.\n{LINK}&n={n}" for n in range(30))


@pytest.mark.parametrize("name", LIMITS)
def test_a_long_message_comes_in_balanced_parts_that_lose_nothing(world: World, name: str) -> None:
    sender, url = Sender(), address(world, name)
    body = long_body()[: min(3_500, sender.room(url))]
    assert sender.send(url, PlainMessage("A title", body), "a@b", NOW).kind == "sent"
    parts = [unescape(re.sub(r"</?b>", "", max(texts(asked), key=len))) for asked in world.asked]
    assert 1 <= len(parts) <= 3
    for part in parts:
        assert len(part.encode("utf-16-le")) // 2 <= LIMITS[name]
        assert name != "ntfy" or len(part.encode()) <= LIMITS[name]
    assert min(map(len, parts)) >= max(map(len, parts)) / 2
    words = [word for part in parts for word in re.sub(r"A title(?: \(\d/\d\))?", "", part).split()]
    assert words == body.split()
    if len(parts) > 1:
        said = ["\n".join(texts(asked)) for asked in world.asked]
        assert all(f"A title ({n}/{len(parts)})" in text for n, text in enumerate(said, 1))


BEYOND_ASCII = ["Заголовок о санкциях. ", "العقوبات على الميناء. ", "制裁措施新闻标题。", "😀 ", '"quoted" \\ ']


@pytest.mark.parametrize("words", BEYOND_ASCII)
@pytest.mark.parametrize("length", [600, 1_200, 1_950, 3_000])
def test_a_message_to_ntfy_is_never_made_a_file(world: World, words: str, length: int) -> None:
    sender, url = Sender(), address(world, "ntfy")
    body = (words * length)[:length].strip()
    assert sender.send(url, PlainMessage(words * 40, body), "a@b", NOW).kind == "sent"
    for asked in world.asked:
        assert (asked.method, asked.path) == ("POST", "/")  # a file goes to /desk?filename=…
        assert asked.fields["topic"] == "desk"
        assert 2 * len(asked.fields["message"]) >= length / len(world.asked)
        assert len(asked.body) <= 8_000
        assert len((asked.fields["title"] + asked.fields["message"]).encode()) <= 4_096


def test_what_no_three_parts_hold_ends_with_an_ellipsis(world: World) -> None:
    assert Sender().send(address(world, "teams"), PlainMessage("A title", long_body()), "a@b", NOW).kind == "sent"
    assert len(world.asked) == 3
    assert max(texts(world.asked[-1]), key=len).endswith("…")


def test_a_digest_for_a_service_with_little_room_is_shorter_not_cut(world: World) -> None:
    topic = TopicRef("border", "Border deployments", "high")
    sections = tuple(
        DigestSection(replace(topic, title=f"Topic {n}"), tuple(story(f"Headline {n}.{m}") for m in range(5)), 9, 4)
        for n in range(8)
    )
    sender, url = Sender(), address(world, "teams")
    value = Digest("ines", "desk", NOW, NOW, "2026-11-25", sections)
    message = RENDERER.plain(value, READER, SITE, LINKS, NOW, sender.room(url))
    assert sender.send(url, message, "a@b", NOW).kind == "sent"
    said = "\n".join("\n".join(texts(asked)) for asked in world.asked)
    assert all(f"Topic {n}" in said or f"TOPIC {n}" in said for n in range(8))
    assert "…" not in said


def test_parts_that_went_are_told_of_and_do_not_go_again(world: World) -> None:
    answers: Iterator[Answer] = iter([(200, {}, b"{}"), (503, {}, b"")])
    world.says(lambda asked: next(answers, None) or well(asked))
    sender, url, went = Sender(), address(world, "discord"), [0]
    message = PlainMessage("A title", long_body()[:3_500])

    def on_part(parts: int) -> bool:
        went.append(parts)
        return True

    assert sender.send(url, message, "a@b", NOW, on_part=on_part).kind == "retry"
    assert sender.send(url, message, "a@b", NOW, went=went[-1], on_part=on_part).kind == "sent"
    titles = [match.group() for asked in world.asked if (match := re.search(r"\(\d/\d\)", "".join(texts(asked))))]
    assert titles == ["(1/2)", "(2/2)", "(2/2)"]
    assert went == [0, 1]
    assert sender.send(url, message, "a@b", NOW, on_part=lambda _: False).kind == "lost"
    assert len(world.asked) == 4


# --- outcomes --------------------------------------------------------------------------------------------------

ANSWERS = [
    (500, b"", "retry", ""),
    (502, b"", "retry", ""),
    (404, b"", "permanent", "hard"),
    (403, b"", "permanent", "hard"),
    (400, b"", "permanent", ""),
    (302, b"", "retry", ""),
]


@pytest.mark.parametrize("name", ["discord", "telegram", "teams", "ntfy", "webhook", "mattermost"])
@pytest.mark.parametrize(("status", "body", "kind", "bounce"), ANSWERS)
def test_a_refusal_is_read_from_what_apprise_reports(
    world: World, name: str, status: int, body: bytes, kind: str, bounce: str
) -> None:
    world.says(lambda _: (status, {"Location": "http://127.0.0.1:9/"} if status == 302 else {}, body))
    outcome = Sender().send(address(world, name), PLAIN, "a@b", NOW)
    assert (outcome.kind, outcome.code, outcome.bounce) == (kind, str(status), bounce)


WAITS = [
    ("telegram", b'{"ok": false, "error_code": 429, "parameters": {"retry_after": 7}}', 7.0),
    ("discord", b'{"message": "You are being rate limited.", "retry_after": 0.65, "global": false}', 0.65),
    ("webhook", b"no", None),
]


@pytest.mark.parametrize(("name", "body", "wait"), WAITS)
def test_a_service_that_is_asked_too_often_says_how_long_to_wait(
    world: World, name: str, body: bytes, wait: float | None
) -> None:
    # Apprise's Discord plugin would sleep until the reset, which is far away here.
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4102444800"}
    world.says(lambda _: (429, headers, body))
    outcome = Sender().send(address(world, name), PLAIN, "a@b", NOW)
    assert (outcome.kind, outcome.code, outcome.retry_after) == ("retry", "429", wait)


def test_a_service_that_cannot_be_found_or_trusted_certainly_took_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Sender().send("json://nowhere.example/hook", PLAIN, "a@b", NOW).kind == "retry"
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert Sender().send(STOCK["discord"], PLAIN, "a@b", NOW).kind == "retry"
    assert Sender().send(SLACK, SlackMessage("x", ()), "a@b", NOW).kind == "retry"
    assert world.asked == []


def test_a_webhook_can_tell_a_further_attempt_from_another_message(world: World) -> None:
    for identity in ("one@corvid.example", "one@corvid.example", "two@corvid.example"):
        Sender().send(address(world, "webhook"), PLAIN, identity, NOW)
    keys = [asked.headers["Idempotency-Key"] for asked in world.asked]
    assert keys == ["one@corvid.example", "one@corvid.example", "two@corvid.example"]


def test_a_service_that_hangs_up_may_have_taken_it(world: World) -> None:
    world.says(lambda _: (0, {}, b""))
    assert Sender().send(address(world, "webhook"), PLAIN, "a@b", NOW).kind == "unknown"
    assert Sender().send(SLACK, SlackMessage("x", ()), "a@b", NOW).kind == "unknown"


def test_more_than_one_recipient_is_refused_for_any_service() -> None:
    for url in ("tgram://123456789:abcdefghijklmnopqrstuvwxyz_AAAAAAAA/-100/-200", "ntfy://127.0.0.1/one/two"):
        assert "exactly one recipient" in Sender().check(url)
    assert "exactly one recipient" in Sender().check("slack://xoxb-1234-1234-abc/#one/#two")


def test_an_address_without_a_recipient_is_not_left_to_the_plugins_guess() -> None:
    for url in (STOCK["telegram"].rpartition("/")[0], "ntfys://ntfy.example.org/", "matrixs://u:p@matrix.example/"):
        assert "names no recipient" in Sender().check(url)
    assert Sender().check("matrixs://u:p@matrix.example/@ruth:matrix.example") == ""


def test_nothing_is_posted_when_the_lease_is_lost(world: World) -> None:
    for url in (address(world, "webhook"), SLACK):
        message = SlackMessage("x", ()) if url == SLACK else PLAIN
        assert Sender().send(url, message, "a@b", NOW, on_wire=lambda: False).kind == "lost"
    assert world.asked == []


# --- Slack -----------------------------------------------------------------------------------------------------


def test_slack_is_spoken_to_under_its_own_name_and_path(world: World) -> None:
    assert send_alert(Sender(), SLACK, story()) == Outcome("sent", "200")
    (asked,) = world.asked
    assert (asked.host, asked.path) == ("hooks.slack.com", "/services/T1JJ3T3L2/A1BRTD4JD/s3cretslacktokens3cret")


def test_a_bots_update_goes_into_the_thread_of_its_first_alert(world: World) -> None:
    sender = Sender()
    first = send_alert(sender, SLACK_BOT, story())
    assert first.receipt == "1732525200.000100"
    send_alert(sender, SLACK_BOT, story("An update"), thread=first.receipt)
    one, two = world.asked
    assert (one.host, one.path) == ("slack.com", "/api/chat.postMessage")
    assert one.headers["Authorization"] == "Bearer xoxb-1234-1234-s3cretbottoken"
    assert (one.fields["channel"], "thread_ts" in one.fields) == ("#desk", False)
    assert two.fields["thread_ts"] == first.receipt


def test_an_update_whose_thread_was_deleted_goes_to_the_channel(world: World) -> None:
    def answer(asked: Asked) -> Answer:
        gone = "thread_ts" in asked.fields
        return (200, {}, b'{"ok": false, "error": "thread_not_found"}') if gone else well(asked)

    world.says(answer)
    assert send_alert(Sender(), SLACK_BOT, story(), thread="1.2").kind == "sent"
    assert ["thread_ts" in asked.fields for asked in world.asked] == [True, False]


SLACK_SAYS = [
    (200, b'{"ok": false, "error": "ratelimited"}', "retry", ""),
    (200, b'{"ok": false, "error": "channel_not_found"}', "permanent", "hard"),
    (200, b'{"ok": false, "error": "token_revoked"}', "permanent", "hard"),
    (200, b'{"ok": false, "error": "invalid_auth"}', "permanent", "hard"),
    (200, b'{"ok": false, "error": "invalid_blocks"}', "permanent", ""),
    (200, b'{"ok": false, "error": "msg_blocks_too_long"}', "permanent", ""),
    (200, b'{"ok": false, "error": "internal_error"}', "retry", ""),
    (404, b"no_service", "permanent", "hard"),
    (410, b"channel_is_archived", "permanent", "hard"),
    (400, b"invalid_payload", "permanent", ""),
    (500, b"rollback_error", "retry", ""),
]


@pytest.mark.parametrize(("status", "body", "kind", "bounce"), SLACK_SAYS)
def test_slacks_words_tell_the_place_from_the_message(
    world: World, status: int, body: bytes, kind: str, bounce: str
) -> None:
    world.says(lambda _: (status, {"Retry-After": "30"}, body))
    outcome = send_alert(Sender(), SLACK_BOT if status == 200 else SLACK, story())
    assert (outcome.kind, outcome.bounce) == (kind, bounce)
    if b"ratelimited" in body:
        assert outcome.retry_after == 30.0


# --- secrets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*STOCK, "slack", "slack bot"])
@pytest.mark.parametrize("status", [200, 404, 500, 0])
def test_no_secret_of_an_address_is_said_anywhere(
    world: World, name: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = {"slack": SLACK, "slack bot": SLACK_BOT}.get(name) or address(world, name)
    if status != 200:
        # A server that echoes what it was asked.
        world.says(lambda asked: (status, {}, f"{asked.path} {asked.headers}".encode()))
    outcome = send_alert(Sender(), url, story())
    assert (outcome.kind == "sent") == (status == 200)
    assert world.asked or name == "matrix"  # whose login fails before
    assert "s3cret" not in repr(outcome)
    assert "s3cret" not in caplog.text
    with pytest.raises(SendError) as wrong:
        Sender().send(url, RENDERER.mail(alert(story()), READER, SITE, LINKS), "a@b", NOW)
    assert "s3cret" not in str(wrong.value)

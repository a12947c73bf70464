"""Signed tokens for links."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.links import ALL_TOPICS, TOKEN_LIMIT, Purpose, Target, read, sign

SECRET = b"a key of thirty-two bytes, or so"
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(NAMES, NAMES)
def test_a_token_reads_back_as_what_was_signed(subscriber: str, topic: str) -> None:
    assert read(SECRET, sign(SECRET, subscriber, topic)) == Target(subscriber, topic)


def test_a_token_without_a_topic_means_everything() -> None:
    assert read(SECRET, sign(SECRET, "ruth")) == Target("ruth", ALL_TOPICS)


def test_a_token_is_the_same_every_time_so_that_an_old_mail_goes_on_working() -> None:
    assert sign(SECRET, "ruth", "sanctions") == "gOXwws17tdboMV8zTRKejXJ1dGgAc2FuY3Rpb25z"


def test_a_token_is_as_short_as_its_names_allow() -> None:
    assert len(sign(SECRET, "ruth")) == 30
    assert len(sign(SECRET, "ruth", "border-deployments")) == 52


@given(st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True))
def test_a_token_is_safe_in_an_address_and_does_not_end_in_punctuation(topic: str) -> None:
    for token in (sign(SECRET, "ruth", topic), sign(SECRET, "ruth")):
        assert re.fullmatch(r"[A-Za-z0-9_-]*[A-Za-z0-9]", token)


def test_a_token_of_one_purpose_is_worth_nothing_for_another() -> None:
    tokens = {purpose: sign(SECRET, "ruth", "sanctions", purpose) for purpose in Purpose}
    assert len(set(tokens.values())) == len(Purpose)
    for purpose, token in tokens.items():
        assert [other for other in Purpose if read(SECRET, token, other) is not None] == [purpose]


def test_another_key_does_not_read_the_token() -> None:
    assert read(b"another key", sign(SECRET, "ruth")) is None


def test_a_token_changed_in_any_one_character_is_refused() -> None:
    token = sign(SECRET, "ruth", "sanctions")
    for place, character in enumerate(token):
        other = "A" if character != "A" else "B"
        assert read(SECRET, token[:place] + other + token[place + 1 :]) is None, place


def test_a_second_spelling_of_a_valid_token_is_refused() -> None:
    token = sign(SECRET, "ruth")  # 22 bytes: the last character has four spare bits
    assert token[-1] == "g"
    spellings = [token + "==", token[:-1] + "h", token + "\n", " " + token, token[:9] + "!" + token[9:]]
    assert [read(SECRET, spelling) for spelling in spellings] == [None] * len(spellings)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "A",
        "=",
        "*",
        "../../etc/passwd",
        "None",
        "\0",
        "é" * 30,
        "\ud800",
        "A" * 40,
        "-" * TOKEN_LIMIT,
        "A" * 1_000_000,
    ],
)
def test_garbage_is_nobody(token: str) -> None:
    assert read(SECRET, token) is None


@given(st.binary(max_size=60))
def test_any_bytes_without_the_key_are_nobody(raw: bytes) -> None:
    assert read(SECRET, urlsafe_b64encode(raw).decode().rstrip("=")) is None


def test_names_cannot_be_shifted_between_subscriber_and_topic() -> None:
    assert sign(SECRET, "ab", "c") != sign(SECRET, "a", "bc")
    with pytest.raises(ValueError, match="NUL"):
        sign(SECRET, "a\0b", "c")


@pytest.mark.parametrize(
    ("secret", "subscriber", "topic", "reason"),
    [
        (b"", "ruth", "*", "empty key"),
        (SECRET, "", "*", "subscriber"),
        (SECRET, "ruth", "", "topic"),
        (SECRET, "r" * 400, "*", "too long"),
    ],
)
def test_what_cannot_be_read_back_is_not_signed(secret: bytes, subscriber: str, topic: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        sign(secret, subscriber, topic)

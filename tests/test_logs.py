"""Secrets stay out of what the program says, and what it teaches stays readable."""

from __future__ import annotations

import pytest

from monitor.logs import Redactor, redact
from monitor.send import Sender

SECRETS = [
    ("slack://T0KEN/B0KEN/s3cret", "slack://***"),
    ("(tgram://123456:s3cret/-1001)", "(tgram://***"),
    ("slack://_s3cret/x", "slack://***"),
    ("`slack://s3cret` is wrong", "`slack://***` is wrong"),
    ("cut: discord://1/s3cret…", "cut: discord://***…"),
    ("mailto://ruth:s3cret@mail.example:587?to=a@b.example", "mailto://***@mail.example:587?to=a@b.example"),
    ("https://s3cret@feeds.example/rss", "https://***@feeds.example/rss"),
    ("postgresql+psycopg://news:s3cret@db/news", "postgresql+psycopg://***@db/news"),
    ("Authorization: Bearer s3cret", "Authorization: ***"),
]


@pytest.mark.parametrize(("said", "shown"), SECRETS)
def test_a_planted_secret_is_hidden(said: str, shown: str) -> None:
    assert redact(said) == shown


def test_a_known_secret_is_hidden_wherever_it_stands() -> None:
    redactor = Redactor()
    redactor.learn(["s3cret`with…signs", "abc"])
    assert redactor.redact("x s3cret`with…signs y abc") == "x *** y abc"


READABLE = [
    "write an address such as `mailto://…` or `slack://…`, or declare the name under `channels:` in monitor.yaml",
    'write `channels: {mail: "mailto://…"}`, or `enabled: false`',
    "write `sqlite:///monitor.db` (relative to the data folder) or `postgresql+psycopg://…`",
    "https://feeds.example/world.xml: answered 404",
]


@pytest.mark.parametrize("said", READABLE)
def test_a_taught_address_stays_readable(said: str) -> None:
    assert redact(said) == said


@pytest.mark.parametrize(
    "url",
    [
        "foo://bar/s3cret",
        "mailto://ruth:s3cret@mail.example:99999?to=a@b.example",
        "mailto://mail.example?to=a@b.example",
        "mailtos://ruth:s3cret@?to=a",
        "slack://s3cret",
        "json://",
    ],
)
def test_the_remedy_for_a_wrong_channel_address_survives_redaction_and_shows_none_of_it(url: str) -> None:
    said = Sender().check(url)
    assert said
    assert redact(said) == said
    assert "s3cret" not in said

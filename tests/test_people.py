"""What operators see of what subscribers set: the command, the desk's pages, and `monitor check`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from typer.testing import CliRunner, Result

from monitor.checking import check
from monitor.cli import cli
from monitor.links import ALL_TOPICS
from monitor.models import SignUp
from monitor.store.preferences import Setting
from tests.choosing import NOW, Readers, readers
from tests.test_web import FORM, Answer, Client, serving

LINK = "preferences link 1f2e3d4c"
AUTHORISED = {"Authorization": "Bearer open-sesame"}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Readers]:
    """Maya has set three things and is paused, and one signed up."""
    with readers(tmp_path, history=False) as one:
        preferences = one.app.store.preferences
        settings = [Setting("topic", "weekly", "border"), Setting("language", "fr"), Setting("timezone", "Asia/Tokyo")]
        preferences.set("maya", settings, NOW, LINK)
        row = SignUp(
            name="reader-1", address="noor@kolva.example", topics=["border"], often="daily", language="de", asked_at=NOW
        )
        preferences.ask(row, NOW, lambda _row, _now: True)
        preferences.confirm("reader-1", NOW, "confirmation link 99887766")
        one.app.take_up()
        yield one


@pytest.fixture
def ask(made: Readers) -> Iterator[Client]:
    with serving(made.web()) as client:
        yield client


def command(made: Readers, *words: str) -> Result:
    folders = ["--config", str(made.pipe.folder / "config"), "--data", str(made.pipe.folder / "data")]
    return CliRunner().invoke(cli, ["subscribers", *words, *folders])


# --- the command ---------------------------------------------------------------------------------------------------


def test_everybody_is_listed_with_where_they_differ(made: Readers) -> None:
    printed = command(made).stdout
    assert "topic border: weekly (files: alert)" in printed
    assert "language: fr (files: en)" in printed
    assert "signed up" in printed
    assert "noor@kolva.example" in printed
    found = json.loads(command(made, "--json").stdout)["subscribers"]
    assert [(one["name"], len(one["differences"])) for one in found] == [("maya", 3), ("reader-1", 0)]


def test_one_is_shown_with_who_set_what_when_and_by_which_link(made: Readers) -> None:
    printed = command(made, "maya").stdout
    assert re.search(rf"language: fr, by {LINK}", printed)
    assert "timezone: Asia/Tokyo" in printed


def test_an_operator_clears_what_was_set_and_it_follows_the_files(made: Readers) -> None:
    assert "3 settings taken back" in command(made, "maya", "--clear").stdout
    assert made.app.take_up()
    assert made.app.config.subscribers["maya"] == made.app.declared.subscribers["maya"]
    again = command(made, "maya", "--clear")
    assert again.exception is not None
    assert "nothing that could be taken back" in str(again.exception)


def test_clearing_ends_a_pause_and_lets_go_what_waited(made: Readers) -> None:
    made.app.store.policies.pause("maya", NOW + timedelta(days=3000), NOW)
    command(made, "maya", "--clear")
    assert [*made.app.store.policies.paused(NOW)] == []


def test_an_operator_removes_those_who_signed_up_and_nobody_else(made: Readers) -> None:
    assert "is removed" in command(made, "reader-1", "--remove").stdout
    assert made.pipe.rows(SignUp) == []
    refused = command(made, "maya", "--remove")
    assert "declared in subscribers.yaml" in str(refused.exception)
    assert "maya" in made.app.config.subscribers


def test_a_link_can_be_printed_for_a_subscriber(made: Readers) -> None:
    assert command(made, "maya", "--link").stdout.startswith("https://desk.corvid.example/s/")
    assert "nobody of that name" in str(command(made, "nope", "--link").exception)


@pytest.mark.parametrize("words", [["--clear"], ["maya", "--clear", "--link"]])
def test_wrong_usage_is_refused(made: Readers, words: list[str]) -> None:
    assert command(made, *words).exit_code == 2


# --- the desk ------------------------------------------------------------------------------------------------------


def press(ask: Client, path: str, page: str, **fields: str) -> Answer:
    token = re.search(r'name="form_token" value="([^"]+)"', ask("GET", page, AUTHORISED).text)
    assert token
    body = urlencode({**fields, "form_token": token[1]}).encode()
    return ask("POST", path, {**AUTHORISED, **FORM}, body)


def test_the_desk_lists_who_set_what_and_who_signed_up(ask: Client) -> None:
    page = ask("GET", "/subscribers", AUTHORISED).text
    assert "1 subscriber has set something that differs from subscribers.yaml. 1 person signed up." in page
    assert "Topic <bdi>Border deployments</bdi>: <bdi>once a week</bdi>" in page
    assert "noor@kolva.example" not in ask("GET", "/subscribers?who=set", AUTHORISED).text
    assert "Maya Haddad" not in ask("GET", "/subscribers?who=signed", AUTHORISED).text
    assert 'href="subscribers"' in ask("GET", "/deliveries", AUTHORISED).text


def test_a_subscribers_page_shows_both_sides_and_the_history(ask: Client) -> None:
    page = ask("GET", "/subscribers/maya", AUTHORISED).text
    assert "Has set 3 things differently from subscribers.yaml." in page
    assert re.search(r"<bdi>once a week</bdi></td><td><bdi>right away</bdi>", page)
    assert page.count(LINK) == 6  # of each difference, and in the history
    assert ask("GET", "/subscribers/nope", AUTHORISED).status == 404


def test_buttons_take_back_and_remove(ask: Client, made: Readers) -> None:
    answer = press(ask, "/subscribers/clear", "/subscribers/maya", name="maya")
    assert (answer.status, answer.headers["Location"]) == (303, "../subscribers?who=set")
    assert made.app.config.subscribers["maya"] == made.app.declared.subscribers["maya"]
    assert press(ask, "/subscribers/remove", "/subscribers/reader-1", name="reader-1").status == 303
    assert [*made.app.config.subscribers] == ["maya"]
    assert press(ask, "/subscribers/remove", "/deliveries", name="maya").status == 404


def test_one_who_left_is_shown_so_and_stays_so(ask: Client, made: Readers) -> None:
    made.app.store.preferences.turn_off("maya", ALL_TOPICS, NOW, by="unsubscribe link 00112233")
    page = ask("GET", "/subscribers/maya", AUTHORISED).text
    assert "Unsubscribed from everything." in page
    press(ask, "/subscribers/clear", "/subscribers/maya", name="maya")
    assert made.app.store.slots.muted() == {"maya": frozenset({"*"})}


# --- the check -----------------------------------------------------------------------------------------------------


def test_check_warns_where_what_is_set_goes_above_the_files(made: Readers) -> None:
    config, data = made.pipe.folder / "config", made.pipe.folder / "data"
    found = [one for one in check(config, {}, data).problems if "by a signed link" in one.message]
    (one,) = found
    assert (one.level, Path(one.file).name, one.line) == ("warning", "subscribers.yaml", 3)
    assert "topic border to weekly, timezone to Asia/Tokyo, language to fr" in one.message
    made.app.store.preferences.clear("maya", NOW, "an operator")
    assert not any("by a signed link" in one.message for one in check(config, {}, data).problems)


def test_check_warns_of_those_who_signed_up_while_the_door_is_off(made: Readers) -> None:
    config, data = made.pipe.folder / "config", made.pipe.folder / "data"
    settings = config / "monitor.yaml"
    assert not any("who signed up" in one.message for one in check(config, {}, data).problems)
    settings.write_text(re.sub(r"sign_up: .*", "", settings.read_text()))
    assert any("1 who signed up get nothing" in one.message for one in check(config, {}, data).problems)


@pytest.mark.parametrize(
    ("sign_up", "words"),
    [
        ("{open: true}", "says by no `via`"),
        ("{via: nope}", "neither an Apprise address nor the name"),
        ('{via: "slack://a/b/c"}', "no mail address"),
        ('{via: "mailto://h.example?to=a@b.example", at: noon}', "is not a time of day"),
        ('{via: "mailto://h.example?to=a@b.example", at_most: lots}', "is not a rate"),
        ('{via: "mailto://h.example?to=a@b.example"}\nweb: off', "needs the web pages"),
    ],
)
def test_check_finds_mistakes_in_sign_up(made: Readers, sign_up: str, words: str) -> None:
    settings = made.pipe.folder / "config" / "monitor.yaml"
    settings.write_text(re.sub(r"sign_up: .*", f"sign_up: {sign_up}", settings.read_text()))
    messages = [one.message for one in check(settings.parent, {}).problems if one.level == "error"]
    assert any(words in message for message in messages), messages


def test_check_warns_of_a_door_with_nothing_behind_it(made: Readers) -> None:
    topics = made.pipe.folder / "config" / "topics.yaml"
    topics.write_text(topics.read_text().replace("public: true, ", ""))
    messages = [one.message for one in check(topics.parent, {}).problems if one.level == "warning"]
    assert "there is no topic that anybody may subscribe to" in messages

"""The pages by which subscribers choose, and by which people sign up, over real HTTP."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.routing import Mount, Route

from monitor import links
from monitor.app import address_of
from monitor.dispatch import Confirmation
from monitor.endpoints import addressed_to, recipient_of
from monitor.links import LASTS, Purpose, sign
from monitor.models import Delivery, Preference, Recipient, SignUp
from monitor.pipeline import schedule_slots
from monitor.pipeline.deliver import render
from monitor.pipeline.outgoing import value_of
from monitor.preferences import frequency
from monitor.render import MailMessage
from monitor.service import preview_digest
from monitor.service.signup import A_DAY, AGAIN
from monitor.service.signup import address_of as mail_address
from monitor.web.guard import is_public
from monitor.web.joining import CLIENTS, Limit
from tests.choosing import NOW, Readers, readers
from tests.test_web import FORM, Answer, Client, serving

SAVE = {"times": "1", "zone": "Europe/London", "quiet": "1", "from": "22:00", "until": "07:00", "at": "", "pause": "",
        "language": "en"}  # fmt: skip


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readers]:
    with readers(tmp_path_factory.mktemp("readers")) as made:
        yield made


@pytest.fixture(scope="module")
def server(one: Readers) -> Iterator[Client]:
    with serving(one.web()) as client:
        yield client


@pytest.fixture
def made(one: Readers) -> Readers:
    """The program, with nothing set and nobody signed up: making one takes most of the time."""
    one.pipe.time = NOW
    with one.app.store.write() as session:
        for table in (Preference, SignUp, Recipient):
            for row in one.pipe.rows(table):
                session.delete(session.merge(row))
        for row in one.pipe.rows(Delivery):
            if row.kind == "confirmation":
                session.delete(session.merge(row))
    one.app.config = one.app.declared
    one.app._laid = None
    return one


@pytest.fixture
def ask(made: Readers, server: Client) -> Client:  # noqa: ARG001  # asked for so that the program is as new
    return server


def post(ask: Client, path: str, **fields: Any) -> Answer:
    return ask("POST", path, FORM, urlencode(fields, doseq=True).encode())


def choose(ask: Client, made: Readers, **fields: Any) -> Answer:
    return post(ask, made.path(), **{**SAVE, **fields})


# --- choosing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_opening_the_page_changes_nothing(ask: Client, made: Readers, method: str) -> None:
    answer = ask(method, made.path())
    assert (answer.status, made.pipe.rows(Preference)) == (200, [])
    assert bool(answer.text) == (method == "GET")


def test_the_page_shows_what_is_so_and_what_to_expect(ask: Client, made: Readers) -> None:
    page = ask("GET", made.path()).text
    for name, often in (("border", "alert"), ("grain", "alert"), ("vessels", "daily")):
        assert re.search(rf'name="t:{name}" value="{often}" checked', page), name
    assert "About 3 a day. 3 today." in page  # by events
    assert "About 2 a week. 1 today." in page
    assert "Nothing in the last 4 weeks." in page
    assert "Europe/London, 14:32" in page
    assert 'name="from" value="22:00"' in page
    assert len(page.encode()) < 60_000


def test_what_is_chosen_is_recorded_by_its_link_and_holds_at_once(ask: Client, made: Readers) -> None:
    answer = choose(
        ask, made, **{"t:border": "daily", "t:vessels": "weekly", "t:grain": "off"},
        zone="Asia/Tokyo", quiet="", at="18:00", language="fr",
    )  # fmt: skip
    assert answer.status == 200
    assert '<html lang="fr"' in answer.text
    assert "Enregistré." in answer.text
    maya = made.app.config.subscribers["maya"]
    assert [frequency(maya, topic) for topic in ("border", "vessels")] == ["daily", "weekly"]
    assert (maya.timezone, maya.language, maya.quiet_hours) == ("Asia/Tokyo", "fr", None)
    assert maya.digest is not None
    assert maya.digest.at == ("18:00",)
    assert made.app.store.slots.muted() == {"maya": frozenset({"grain"})}
    rows = made.pipe.rows(Preference)
    assert {row.set_at for row in rows} == {NOW}
    assert {re.sub("[0-9a-f]{8}$", "#", row.by) for row in rows} == {"preferences link #"}
    assert made.path().rpartition("/")[2] not in str(rows)  # no record is a key to the page


def test_saving_what_is_so_records_nothing_and_going_back_follows_the_files_again(ask: Client, made: Readers) -> None:
    assert "Nothing was different." in choose(ask, made, **{"t:border": "alert"}).text
    assert made.pipe.rows(Preference) == []
    choose(ask, made, **{"t:border": "daily"})
    answer = choose(ask, made, **{"t:border": "alert"})
    assert "Border deployments</bdi>: Right away." in answer.text
    assert made.app.store.preferences.of("maya") == []
    assert made.app.config is made.app.declared


def test_a_topic_turned_off_drops_what_waits_and_comes_back_as_it_was(ask: Client, made: Readers) -> None:
    choose(ask, made, **{"t:vessels": "weekly"})
    choose(ask, made, **{"t:vessels": "off"})
    undo = f"/u/{sign(made.app.secret, 'maya', 'vessels')}/undo"
    assert "goes on" in post(ask, undo).text
    made.app.take_up()
    assert frequency(made.app.config.subscribers["maya"], "vessels") == "weekly"


def test_a_pause_ends_in_the_morning_of_its_day(ask: Client, made: Readers) -> None:
    answer = choose(ask, made, pause="2026-12-01")
    assert 'name="pause" value="2026-12-01"' in answer.text
    assert made.app.store.policies.paused(NOW) == {"maya": NOW.replace(month=12, day=1, hour=7, minute=0)}
    choose(ask, made, pause="")
    assert made.app.store.policies.paused(NOW) == {}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"zone": "Europe/Atlantis"}, "zone"),
        ({"zone": "<script>alert(1)</script>"}, "zone"),
        ({"from": "25:00"}, "from"),
        ({"from": "07:00"}, "from"),
        ({"until": "٠٧:٠٠"}, "from"),
        ({"at": "noon"}, "at"),
        ({"pause": "2026-11-24"}, "pause"),
        ({"pause": "2036-11-24"}, "pause"),
        ({"pause": "yesterday\x00"}, "pause"),
        ({"language": "tlh"}, "language"),
        ({"t:border": "hourly"}, "what"),
    ],
)
def test_a_mistake_is_shown_at_its_field_and_nothing_is_taken(
    ask: Client, made: Readers, fields: dict[str, str], field: str
) -> None:
    answer = choose(ask, made, **{"t:vessels": "weekly", **fields})
    assert (answer.status, made.pipe.rows(Preference)) == (422, [])
    assert "<title>Error: " in answer.text
    assert f'href="#{field}"' in answer.text
    assert f'id="{field}"' in answer.text
    assert 't:vessels" value="weekly" checked' in answer.text  # what was chosen well is kept in the form
    assert "<script" not in answer.text


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"t:border=%FF", b"&" * 2000, b"t:border=daily&" * 2000, b"t:nope=off&t:*=off&*=off"],
)
def test_hostile_forms_change_nothing(ask: Client, made: Readers, body: bytes) -> None:
    answer = ask("POST", made.path(), FORM, body)
    assert answer.status in (200, 422)
    assert made.pipe.rows(Preference) == []


def test_a_topic_of_somebody_else_cannot_be_had(ask: Client, tmp_path: Path) -> None:
    del ask
    text = Readers.__init__.__globals__["SUBSCRIBERS"].replace("[border, grain]", "[border]")
    with readers(tmp_path, history=False, subscribers=text) as made, serving(made.web()) as client:
        assert post(client, made.path(), **{"t:grain": "alert"}).status == 200
        assert frequency(made.app.config.subscribers["maya"], "grain") == "off"
        assert made.pipe.rows(Preference) == []


def test_one_who_unsubscribed_can_start_again_from_the_page(ask: Client, made: Readers) -> None:
    post(ask, made.path(page="u"))
    page = ask("GET", made.path()).text
    assert "You are unsubscribed" in page
    post(ask, made.path(), start="1")
    assert made.app.store.slots.muted() == {}


@pytest.mark.parametrize("language", ["en", "es", "fr", "de", "ar"])
def test_each_language_has_its_own_words_and_direction(ask: Client, made: Readers, language: str) -> None:
    choose(ask, made, language=language)
    for path in (made.path(), made.path(page="u"), f"/subscribe?lang={language}"):
        page = ask("GET", path).text
        assert f'<html lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}">' in page
        assert ("Skip to content" in page) == (language == "en")


# --- unsubscribing -------------------------------------------------------------------------------------------------


def test_unsubscribing_can_be_undone_for_seven_days(ask: Client, made: Readers) -> None:
    path = made.path(page="u")
    post(ask, path)
    made.pipe.time = NOW + timedelta(days=7)
    assert f"{path}/undo" in ask("GET", path).text
    assert "subscribed again" in post(ask, f"{path}/undo").text
    post(ask, path)
    made.pipe.time = NOW + timedelta(days=14, seconds=1)
    page = ask("GET", path).text
    assert "/undo" not in page
    assert "these are over" in page
    assert "already unsubscribed" in post(ask, f"{path}/undo").text
    assert made.app.store.slots.muted() == {"maya": frozenset({"*"})}


@pytest.mark.parametrize(
    ("topic", "how", "check"),
    [
        ("*", "daily", lambda m: frequency(m.app.config.subscribers["maya"], "border") == "daily"),
        ("*", "week", lambda m: [*m.app.store.policies.paused(NOW)] == ["maya"]),
        ("border", "week", lambda m: m.app.store.slots.muted(NOW + timedelta(days=6)) == {"maya": {"border"}}),
        ("border", "daily", lambda m: frequency(m.app.config.subscribers["maya"], "border") == "daily"),
    ],
)
def test_getting_less_by_the_unsubscribing_link(
    ask: Client, made: Readers, topic: str, how: str, check: Callable[[Readers], bool]
) -> None:
    assert post(ask, f"/u/{sign(made.app.secret, 'maya', topic)}/less", how=how).status == 200
    assert check(made)
    assert made.app.store.slots.muted(NOW + timedelta(days=8)) == {}


# --- links ---------------------------------------------------------------------------------------------------------


def bad_tokens(made: Readers) -> dict[str, str]:
    secret, token = made.app.secret, made.app.sign_until("maya", Purpose.PREFERENCES, made.app.now())
    swapped = made.app.sign_until("gone", Purpose.PREFERENCES, made.app.now())
    return {
        "tampered": token[:-1] + ("A" if token[-1] != "A" else "B"),
        "truncated": token[:-3],
        "swapped": token[:22] + swapped[22:],
        "another purpose": made.app.sign_until("maya", Purpose.CONFIRM, made.app.now()),
        "unsubscribing": sign(secret, "maya"),
        "no day": sign(secret, "maya", purpose=Purpose.PREFERENCES),
        "expired": sign(secret, "maya", f"{NOW - timedelta(days=1):%Y%m%d}", Purpose.PREFERENCES),
        "for ever": sign(secret, "maya", "99991231", Purpose.PREFERENCES),
        "another key": sign(b"k", "maya", "20261224", Purpose.PREFERENCES),
        "garbage": "%00%ff",
        "long": "A" * 3000,
    }


def test_every_bad_link_is_refused_with_the_same_page(ask: Client, made: Readers) -> None:
    for method in ("GET", "HEAD", "POST"):
        answers = {
            name: (answer.status, answer.text)
            for name, token in bad_tokens(made).items()
            for answer in [ask(method, f"/s/{token}")]
        }
        assert {status for status, _ in answers.values()} == {404}
        assert len({text for _, text in answers.values()}) == 1, answers.keys()
    assert made.pipe.rows(Preference) == []


def test_every_bad_link_costs_one_hmac_and_one_comparison(made: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []

    def counting(name: str) -> Callable[..., Any]:
        real = getattr(hmac, name)

        def one(*arguments: Any) -> Any:
            counted.append(name)
            return real(*arguments)

        return one

    for name in ("digest", "compare_digest"):
        monkeypatch.setattr(hmac, name, counting(name))
    for name, token in bad_tokens(made).items():
        counted.clear()
        assert links.read_until(made.app.secret, token, Purpose.PREFERENCES, NOW) is None
        assert counted == ["digest", "compare_digest"], name


def test_a_link_to_choose_is_in_every_mail_and_good_for_thirty_days(ask: Client, made: Readers) -> None:
    path = made.path()
    row = made.pipe.deliveries("alert")[-1]
    url = address_of(made.app.config, row.kind, row.subscriber, row.channel)
    assert url is not None
    mail = render(made.app, made.app.config, value_of(row), url, row)
    assert isinstance(mail, MailMessage)
    assert f"https://desk.corvid.example{path}" in mail.html
    made.pipe.time = NOW + timedelta(days=LASTS[Purpose.PREFERENCES])
    assert ask("GET", path).status == 200
    made.pipe.time += timedelta(days=1)
    assert ask("GET", path).status == 404


def test_every_route_of_the_program_is_public_or_gated(ask: Client, made: Readers) -> None:
    public = set()
    for route in made.web().routes:
        assert isinstance(route, Route | Mount), f"the walk does not know {route!r}"
        path = re.sub(r"\{[^}]*\}", "x", route.path) + ("/x" if isinstance(route, Mount) else "")
        for method in (route.methods or set()) if isinstance(route, Route) else {"GET"}:
            refused = ask(method, path).headers["WWW-Authenticate"] is not None
            assert refused != (is_public(path)), (method, route.path)
        public |= {route.path} if is_public(path) else set()
    assert public == {
        "/healthz", "/readyz", "/login", "/static", "/a/{token}", "/u/{token}", "/u/{token}/undo", "/u/{token}/less",
        "/s/{token}", "/subscribe", "/subscribe/{token}",
    }  # fmt: skip


# --- signing up ----------------------------------------------------------------------------------------------------

WANTED = {"topic": ["border"], "often": "daily", "address": "Noor@Kolva.example"}


def mails(made: Readers, most: int = 1) -> list[Delivery]:
    """The mails to confirm, once what was asked for has been done: the page's answer does not wait for it."""
    until = time.monotonic() + 10
    while len(found := made.pipe.deliveries("confirmation")) < most and time.monotonic() < until:
        time.sleep(0.02)
    return found


def mail_of(made: Readers, row: Delivery) -> MailMessage:
    url = address_of(made.app.config, row.kind, row.subscriber, row.channel)
    assert url is not None
    mail = render(made.app, made.app.config, value_of(row), url, row)
    assert isinstance(mail, MailMessage)
    return mail


def link_in(mail: MailMessage) -> str:
    (found,) = set(re.findall(r"https://desk\.corvid\.example(/\S+)", mail.text))
    return str(found)


def test_one_signs_up_by_a_mail_and_the_link_in_it(ask: Client, made: Readers) -> None:
    answer = post(ask, "/subscribe?lang=de", **WANTED)
    assert answer.status == 200
    assert "Noor@kolva.example" in answer.text
    (row,) = mails(made)
    assert (row.channel, row.kind) == ("Noor@kolva.example", "confirmation")
    mail = mail_of(made, row)
    assert "Bestätigen Sie Ihre Meldungen" in mail.subject
    link = link_in(mail)
    for method in ("GET", "HEAD"):
        assert ask(method, link).status == 200
    assert [*made.app.config.subscribers] == ["maya"]
    for _ in range(2):  # harmless twice
        answer = post(ask, link)
        assert answer.status == 200
    (name,) = made.app.config.subscribers.keys() - {"maya"}
    fresh = made.app.config.subscribers[name]
    assert (frequency(fresh, "border"), frequency(fresh, "vessels"), fresh.language) == ("daily", "off", "de")
    settings = re.search(r'href="\.\.(/s/[^"]+)"', answer.text)
    assert settings
    page = ask("GET", settings[1]).text
    assert 'name="t:vessels" value="off" checked' in page
    assert "grain" not in page
    assert post(ask, settings[1], **{"t:vessels": "alert"}).status == 200
    assert frequency(made.app.config.subscribers[name], "vessels") == "alert"


def test_the_answer_is_the_same_for_every_address_and_a_known_one_gets_its_settings(ask: Client, made: Readers) -> None:
    with made.app.store.write() as session:
        refused = addressed_to("mailto://127.0.0.1:2525?to=desk@corvid.example", "gone@kolva.example")
        session.add(Recipient(key=recipient_of(refused), subscriber="x", channel="mail", suspended_at=NOW))
    said = []
    for address in ("maya@corvid.example", "new@kolva.example", "gone@kolva.example"):
        answer = post(ask, "/subscribe", **{**WANTED, "address": address})
        said.append((answer.status, answer.text.replace(address, "ADDRESS"), sorted(answer.headers.keys())))
    assert said[0] == said[1] == said[2]
    rows = {row.channel: row for row in mails(made, 2)}
    time.sleep(0.2)
    assert {*rows} == {row.channel for row in made.pipe.deliveries("confirmation")}
    assert {*rows} == {"maya@corvid.example", "new@kolva.example"}  # one that refuses mail gets none
    known = mail_of(made, rows["maya@corvid.example"])
    assert link_in(known).startswith("/s/")
    assert ask("GET", link_in(known)).status == 200


def test_the_answer_is_given_before_the_address_is_looked_up(
    ask: Client, made: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError("the database is away")

    monkeypatch.setattr("monitor.service.signup.ask", broken)
    assert post(ask, "/subscribe", **WANTED).status == 200
    assert made.pipe.rows(SignUp) == []


def test_an_address_gets_few_mails_whoever_asks(made: Readers) -> None:
    from monitor.service.signup import ask as sign_up

    def asked() -> bool:
        return sign_up(made.app, "noor@kolva.example", ["border"], "daily", "en", made.pipe.time)

    assert [asked(), asked()] == [True, False]
    sent = 1
    for _ in range(6):
        made.pipe.time += AGAIN
        sent += asked()
    assert sent == A_DAY
    made.pipe.time = NOW + timedelta(days=1)
    assert asked()


def test_who_asks_is_limited_by_network_and_in_all() -> None:
    from monitor.config import Rate

    limit, rate = Limit(), Rate(20, 3600.0)
    assert [limit.takes("192.0.2.1", rate, 0.0) for _ in range(3)] == [True, True, False]
    assert sum(limit.takes(f"198.51.100.{n}", rate, 1.0) for n in range(40)) == 18
    assert limit.takes("192.0.2.1", rate, 3600.5)
    for n in range(CLIENTS + 100):
        limit.takes(str(n), rate, 9000.0)
    assert len(limit._clients) == CLIENTS


def test_beyond_the_limit_the_page_says_so_and_records_nothing(made: Readers, tmp_path: Path) -> None:
    del made
    with readers(tmp_path, history=False) as fresh, serving(fresh.web()) as client:
        answers = [post(client, "/subscribe", **{**WANTED, "address": f"a{n}@kolva.example"}) for n in range(7)]
        assert [answer.status for answer in answers] == [200] * 6 + [429]
        assert "try again in an hour" in answers[-1].text
        # Our own proxy, which is on loopback, says who asks; only the last address is its own word.
        other = client("POST", "/subscribe", {**FORM, "X-Forwarded-For": "10.9.9.9, 192.0.2.7"},
                       urlencode(WANTED, doseq=True).encode())  # fmt: skip
        assert other.status == 200


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"topic": []}, "topics"),
        ({"topic": ["grain"]}, "topics"),  # which is not public
        ({"address": ""}, "address"),
        ({"address": "noor"}, "address"),
        ({"address": "noor@kolva"}, "address"),
        ({"address": "noor@kolva.example\r\nBcc: x@y.example"}, "address"),
        ({"address": "a@b.example,c@d.example"}, "address"),
        ({"address": "<script>@kolva.example"}, "address"),
        ({"address": "a" * 255 + "@kolva.example"}, "address"),
        ({"often": "hourly"}, "topics"),
    ],
)
def test_a_mistake_in_signing_up_is_shown_at_its_field(
    ask: Client, made: Readers, fields: dict[str, Any], field: str
) -> None:
    answer = post(ask, "/subscribe", **{**WANTED, **fields})
    assert answer.status == 422
    assert f'href="#{field}"' in answer.text
    assert "<script" not in answer.text
    assert made.pipe.rows(SignUp) == []


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (" Noor@Kolva.EXAMPLE ", "Noor@kolva.example"),
        ("a+b.c@d-e.example", "a+b.c@d-e.example"),
        ("jörg@bücher.example", "jörg@bücher.example"),
        ("a..b@c.example", ""),
        ('"a b"@c.example', ""),
        ("a@[127.0.0.1]", ""),
        ("a@b.example?cc=x@y", ""),
    ],
)
def test_addresses_are_plain_ones(written: str, kept: str) -> None:
    assert mail_address(written) == kept


@pytest.mark.parametrize("sign_up", ["off", '{open: false, via: "mailto://127.0.0.1:2525?to=desk@corvid.example"}'])
def test_without_sign_up_there_is_no_such_page_and_closed_it_keeps_its_people(tmp_path: Path, sign_up: str) -> None:
    monitor = re.sub(r"sign_up: .*", f"sign_up: {sign_up}", Readers.__init__.__globals__["MONITOR"])
    with readers(tmp_path, history=False, monitor=monitor) as made, serving(made.web()) as client:
        for method in ("GET", "POST"):
            assert client(method, "/subscribe", FORM, b"").status == 404
        row = SignUp(name="reader-1", address="a@kolva.example", topics=["border"], often="daily", language="en",
                     asked_at=NOW)  # fmt: skip
        made.app.store.preferences.ask(row, NOW, lambda _row, _now: True)
        made.app.store.preferences.confirm("reader-1", NOW, "x")
        made.app.take_up()
        assert ("reader-1" in made.app.config.subscribers) == (sign_up != "off")


def test_one_who_left_and_asks_again_confirms_again(ask: Client, made: Readers) -> None:
    post(ask, "/subscribe", **WANTED)
    link = link_in(mail_of(made, mails(made)[0]))
    post(ask, link)
    (name,) = made.app.config.subscribers.keys() - {"maya"}
    post(ask, made.path(name, "u"))
    assert name in made.app.store.slots.muted()
    made.pipe.time += AGAIN
    post(ask, "/subscribe", **WANTED)
    again = mails(made, 2)[-1]
    assert again.subscriber == name
    post(ask, link_in(mail_of(made, again)))
    assert made.app.store.slots.muted() == {}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_confirming_links_are_refused_alike(ask: Client, made: Readers, method: str) -> None:
    row = SignUp(name="reader-1", address="a@kolva.example", topics=["border"], often="daily", language="en",
                 asked_at=NOW)  # fmt: skip
    made.app.store.preferences.ask(row, NOW, lambda _row, _now: True)
    tokens = [
        made.app.sign_until("reader-2", Purpose.CONFIRM, made.app.now()),
        made.app.sign_until("reader-1", Purpose.PREFERENCES, made.app.now()),
        sign(made.app.secret, "reader-1", "20261101", Purpose.CONFIRM),
        made.app.sign_until("maya", Purpose.CONFIRM, made.app.now()),
        "x",
    ]
    answers = [ask(method, f"/subscribe/{token}") for token in tokens]
    assert {answer.status for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert [*made.app.config.subscribers] == ["maya"]


@pytest.mark.parametrize("is_known", [False, True])
def test_the_mail_to_confirm_speaks_each_language(made: Readers, is_known: bool) -> None:
    url = "mailto://127.0.0.1:2525?to=a@kolva.example"
    said = {}
    for code in ("en", "es", "fr", "de", "ar"):
        mail = render(made.app, made.app.config, Confirmation("maya", "a@kolva.example", code, is_known), url)
        assert isinstance(mail, MailMessage)
        assert f'<html lang="{code}" dir="{"rtl" if code == "ar" else "ltr"}"' in mail.html
        assert not {"List-Unsubscribe", "List-Id"} & {name for name, _ in mail.headers}
        link = link_in(mail)
        assert link.startswith("/s/" if is_known else "/subscribe/")
        said[code] = mail.text.replace(link, "")
    shared = set.intersection(*({line for line in text.splitlines() if line.strip()} for text in said.values()))
    assert shared == {"https://desk.corvid.example", "--"}


def test_what_to_expect_is_counted_once_a_minute_however_often_the_page_is_asked_for(
    ask: Client, made: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask("GET", "/subscribe")

    def counted_again(*_: object) -> dict[str, int]:
        raise AssertionError("counted again")

    monkeypatch.setattr(made.app.store.volumes, "events", counted_again)
    assert ask("GET", "/subscribe").status == 200


def test_a_digests_preview_is_that_of_the_coming_window(ask: Client, made: Readers) -> None:
    choose(ask, made, **{"t:vessels": "weekly", "t:border": "daily"})
    schedule_slots(made.app, made.app.config, NOW)
    found = preview_digest(made.app, "maya", None, NOW)
    assert "vessels" not in {topic.name for topic in (*found.quiet, *(one.topic for one in found.sections))}

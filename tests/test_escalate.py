"""Alerts that must be acknowledged: the link, who acknowledges, and where they go on to when nobody does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import SQLModel
from starlette.routing import Route

from monitor.config import load_config
from monitor.dispatch import Alert, Unacknowledged
from monitor.errors import ConfigError
from monitor.links import Purpose, sign
from monitor.models import Delivery, Escalation
from monitor.pipeline.deliver import drain, render
from monitor.pipeline.outgoing import value_of
from monitor.render import MailMessage, PlainMessage, SlackMessage
from monitor.store import Store
from monitor.web import create_app
from monitor.web.backend import WebBackend
from tests import make
from tests.pipe import START, Pipe, item
from tests.servers import MailServer
from tests.test_web import serving

TOPICS = """
topics:
  sanctions:
    title: Sanctions
    any: [sanction*, embargo]
    severity: critical
    escalate: {after: 15m, to: [desk-pager, "mailto://127.0.0.1:PORT?to=chief@corvid.example"]}
  calm:
    any: [calm]
"""
SUBSCRIBERS = """
subscribers:
  ruth:
    name: Ruth Whitcombe
    channels: {mail: "mailto://127.0.0.1:PORT?to=ruth@corvid.example"}
    subscriptions: [{topics: all, alert: {via: [mail]}}]
  omar:
    channels: {mail: "mailto://127.0.0.1:PORT?to=omar@corvid.example"}
    subscriptions: [{topics: [sanctions], alert: {via: [mail]}}]
"""


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


def desk(folder: Path, port: int) -> Pipe:
    channels = f'channels: {{desk-pager: "mailto://127.0.0.1:{port}?to=pager@corvid.example"}}\n'
    return Pipe(
        folder,
        START,
        monitor=make.MONITOR + channels,
        topics=TOPICS.replace("PORT", str(port)),
        subscribers=SUBSCRIBERS.replace("PORT", str(port)),
    )


def readers(mail: MailServer) -> list[str]:
    return [one.rcpt_tos[0].partition("@")[0] for one in mail.mails]


def text(mail: MailServer, place: int) -> str:
    said = mail.mails[place].content.decode().replace("=\r\n", "").replace("\r\n", " ")
    return re.sub("=E2=81=A[89]", "", said)  # the isolates around names


async def test_what_nobody_acknowledges_goes_to_the_next_channel_in_turn_each_once(
    tmp_path: Path, mail: MailServer
) -> None:
    pipe = desk(tmp_path, mail.port)
    pipe.put("wire", item("1", "Sanctions agreed"), item("2", "A calm day"))
    try:
        await drain(pipe.app)
        assert sorted(readers(mail)) == ["omar", "ruth", "ruth"]
        for minutes, told in ((14, []), (1, ["pager"]), (14, ["pager"]), (1, ["pager", "chief"])):
            pipe.forward(minutes=minutes)
            await drain(pipe.app)
            await drain(pipe.app)
            assert readers(mail)[3:] == told
        pipe.forward(days=2)
        await drain(pipe.app)
        assert len(mail.mails) == 5
        said = text(mail, 3)
        why = "This came to you because Ruth Whitcombe and omar did not acknowledge it within {} minutes."
        assert why.format(15) in said
        assert "You asked for" not in said
        assert why.format(30) in text(mail, 4)
        assert "Unsubscribe" not in said
        rows = pipe.deliveries("escalation")
        assert [(row.channel, row.state, row.subject) for row in rows] == [
            ("desk-pager", "sent", "Sanctions agreed"),
            ("sanctions-2", "sent", "Sanctions agreed"),
        ]
        (story,) = pipe.app.store.archive.find("Sanctions agreed", 1)
        journey = pipe.app.store.archive.journey(story.id or 0)
        assert journey is not None
        assert sum(row.kind == "escalation" for row in journey.deliveries) == 2
    finally:
        await pipe.app.close()


async def test_what_goes_on_is_in_the_language_of_those_it_was_sent_to(tmp_path: Path, mail: MailServer) -> None:
    pipe = desk(tmp_path, mail.port)
    pipe.reload(
        subscribers=SUBSCRIBERS.replace("PORT", str(mail.port)).replace("name: Ruth", "language: de\n    name: Ruth")
    )
    pipe.put("wire", item("1", "Sanctions agreed"))
    try:
        pipe.forward(minutes=15)
        await drain(pipe.app)
        (row,) = pipe.deliveries("escalation")
        alert = value_of(row)
        assert isinstance(alert, Alert)
        assert alert.unacknowledged == Unacknowledged(("Ruth Whitcombe", "omar"), 900.0, "de")
        url = f"mailto://127.0.0.1:{mail.port}?to=pager@corvid.example"
        message = render(pipe.app, pipe.app.config, alert, url, row)
        assert isinstance(message, MailMessage)
        said = " ".join(re.sub("[\u2068\u2069]", "", message.text).split())
        assert "Sie erhalten dies, weil keine Bestätigung von Ruth Whitcombe und omar kam; Frist: 15 Minuten." in said
    finally:
        await pipe.app.close()


async def test_what_one_acknowledges_by_the_link_in_the_alert_goes_no_further(tmp_path: Path, mail: MailServer) -> None:
    pipe = desk(tmp_path, mail.port)
    pipe.put("wire", item("1", "Sanctions agreed"), item("2", "A calm day"))
    backend = WebBackend(pipe.app)
    try:
        await drain(pipe.app)
        to_ruth = next(
            text(mail, n) for n in range(3) if readers(mail)[n] == "ruth" and b"agreed" in mail.mails[n].content
        )
        calm = next(text(mail, n) for n in range(3) if b"calm" in mail.mails[n].content)
        assert "/a/" not in calm
        found = re.search(r"/a/([\w-]+)", to_ruth)
        assert found is not None
        before = backend.incident(found[1])
        assert before is not None
        assert (before.title, before.holder, before.acknowledged_by) == ("Sanctions agreed", "Ruth Whitcombe", "")
        assert backend.acknowledge(found[1])
        pipe.forward(minutes=3)
        assert backend.acknowledge(found[1])
        after = backend.incident(found[1])
        assert after is not None
        assert (after.acknowledged_by, after.acknowledged_at) == ("Ruth Whitcombe", "25 November 06:00 (UTC)")
        pipe.forward(hours=3)
        await drain(pipe.app)
        assert len(mail.mails) == 3
        (row,) = pipe.rows(Escalation)
        assert (row.acknowledged_by, row.due_at, row.step) == ("ruth", None, 0)
    finally:
        await pipe.app.close()


async def test_an_escalated_message_that_still_waits_is_cancelled_when_somebody_acknowledges(tmp_path: Path) -> None:
    pipe = desk(tmp_path, 9)  # nobody listens there
    pipe.put("wire", item("1", "Sanctions agreed"))
    pipe.forward(minutes=15)
    try:
        await drain(pipe.app)
        (row,) = pipe.deliveries("escalation")
        link = sign(pipe.app.secret, "desk-pager", row.incident, Purpose.ACKNOWLEDGE)
        assert WebBackend(pipe.app).acknowledge(link)
        assert [(r.state, r.detail) for r in pipe.deliveries("escalation")] == [
            ("cancelled", "acknowledged by desk-pager")
        ]
    finally:
        await pipe.app.close()


def test_every_kind_of_message_has_the_acknowledging_link(tmp_path: Path) -> None:
    pipe = desk(tmp_path, 9)
    pipe.put("wire", item("1", "Sanctions agreed"))
    row = pipe.deliveries("alert")[0]
    value = value_of(row)
    link = pipe.app.acknowledge_link(row.subscriber, row.incident)
    slack = render(pipe.app, pipe.app.config, value, "slack://T1234567A/B1234567A/abcdefghijklmnopqrstuvwx", row)
    assert isinstance(slack, SlackMessage)
    buttons = [one for block in slack.blocks if block["type"] == "actions" for one in block["elements"]]
    assert [(b["text"]["text"], b["url"]) for b in buttons[:1]] == [("Acknowledge", link)]
    plain = render(pipe.app, pipe.app.config, value, "json://127.0.0.1:9", row)
    assert isinstance(plain, PlainMessage)
    assert link in plain.body
    mail = render(pipe.app, pipe.app.config, value, "mailto://127.0.0.1:9?to=a@x.example", row)
    assert isinstance(mail, MailMessage)
    assert link in mail.text
    assert f'href="{link}"' in mail.html
    pipe.app.store.close()


async def test_what_was_turned_off_or_is_no_longer_declared_is_not_escalated(tmp_path: Path, mail: MailServer) -> None:
    pipe = desk(tmp_path, mail.port)
    pipe.put("wire", item("1", "Sanctions agreed"))
    for name in ("ruth", "omar"):
        pipe.app.store.outbox.cancel_for(name, None, pipe.time)
    pipe.put("wire", item("2", "Embargo extended"))
    pipe.reload(topics="topics: {calm: {any: [calm]}, sanctions: {any: [embargo]}}")
    pipe.forward(hours=1)
    try:
        await drain(pipe.app)
        assert sorted(readers(mail)) == ["omar", "ruth"]
        assert [row.due_at for row in pipe.rows(Escalation)] == [None, None]
    finally:
        await pipe.app.close()


async def test_of_an_incident_the_alert_that_goes_first_counts(tmp_path: Path, mail: MailServer) -> None:
    pipe = desk(tmp_path, mail.port)
    pipe.reload(
        subscribers=SUBSCRIBERS.replace("PORT", str(mail.port)).replace(
            "    name: Ruth Whitcombe\n", '    quiet_hours: {from: "22:00", to: "09:00"}\n'
        )
    )
    pipe.put("wire", item("1", "Sanctions agreed"))
    try:
        assert sorted((row.escalate_at or pipe.time) - pipe.time for row in pipe.rows(Delivery)) == [
            timedelta(minutes=15),
            timedelta(hours=3, minutes=15),
        ]
        assert [row.due_at for row in pipe.rows(Escalation)] == [pipe.time + timedelta(minutes=15)]
    finally:
        await pipe.app.close()


async def test_an_alert_that_its_server_did_not_take_goes_on_all_the_same(tmp_path: Path, mail: MailServer) -> None:
    pipe = desk(tmp_path, mail.port)
    mail.replies["RCPT"] = "550 no such user"
    pipe.put("wire", item("1", "Sanctions agreed"))
    try:
        await drain(pipe.app)
        del mail.replies["RCPT"]
        pipe.forward(minutes=15)
        await drain(pipe.app)
        assert readers(mail) == ["pager"]
    finally:
        await pipe.app.close()


async def test_no_get_and_no_head_of_any_route_changes_the_database(tmp_path: Path, mail: MailServer) -> None:
    pipe = desk(tmp_path, mail.port)
    pipe.put("wire", item("1", "Sanctions agreed"))
    app = pipe.app
    incident = pipe.rows(Delivery)[0].incident
    tokens = [sign(app.secret, "ruth"), sign(app.secret, "ruth", "sanctions")]
    tokens += [
        sign(app.secret, "ruth", incident, Purpose.ACKNOWLEDGE),
        sign(app.secret, "ruth", purpose=Purpose.PREFERENCES),
    ]
    web = create_app(WebBackend(app), site="Desk", token=None, host_names=[], secret=app.secret)
    paths = [
        route.path for route in web.routes if isinstance(route, Route) and {"GET", "HEAD"} & (route.methods or set())
    ]
    assert "/a/{token}" in paths
    before = contents(app.store)
    try:
        with serving(web) as ask:
            for path in paths:
                for token in tokens:
                    for method in ("GET", "HEAD"):
                        assert ask(method, re.sub(r"\{[^}]+\}", token, path)).status < 500
        assert contents(app.store) == before
        assert app.store.escalations.get(incident) is not None
    finally:
        await app.close()


def contents(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables."""
    with store.read() as session:
        tables = SQLModel.metadata.sorted_tables
        return {table.name: [tuple(row) for row in session.execute(table.select())] for table in tables}


@pytest.mark.parametrize(
    ("escalate", "wrong"),
    [
        ("{after: 15m, to: [desk-pagr]}", "unknown channel `desk-pagr`: did you mean `desk-pager`?"),
        ("{after: 15m}", "the key `to` is missing in `escalate`"),
        ("{after: 15m, to: []}", "names no channel"),
        ("{to: [desk-pager]}", "after"),
        ("{after: 2d, to: [desk-pager]}", "more than 1d"),
        ("{after: 15m, to: [desk-pager]}", "only alerts of critical topics are escalated"),
    ],
)
def test_a_mistake_in_escalate_is_named(tmp_path: Path, escalate: str, wrong: str) -> None:
    severity = "high" if "only" in wrong else "critical"
    with pytest.raises(ConfigError) as caught:
        make.config(
            tmp_path,
            monitor=make.MONITOR + 'channels: {desk-pager: "json://127.0.0.1:9"}\n',
            topics=f"topics: {{sanctions: {{any: [sanction*], severity: {severity}, escalate: {escalate}}}}}",
        )
    assert wrong in str(caught.value)


def test_an_address_in_a_topic_is_a_secret_and_a_name_is_none(tmp_path: Path) -> None:
    folder = make.write_config(
        tmp_path,
        monitor=make.MONITOR + 'channels: {desk-pager: "json://127.0.0.1:9"}\n',
        topics=TOPICS.replace("PORT", "9"),
    )
    config = load_config(folder, {})
    assert "mailto://127.0.0.1:9?to=chief@corvid.example" in config.secrets
    assert "desk-pager" not in config.secrets
    assert list(config.escalation("sanctions").items()) == [
        ("desk-pager", "json://127.0.0.1:9"),
        ("sanctions-2", "mailto://127.0.0.1:9?to=chief@corvid.example"),
    ]
    assert config.escalation("calm") == config.escalation("gone") == {}

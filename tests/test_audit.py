"""The audit: each promise broken by hand in the tables is named, and what is whole passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from monitor.models import Audit, Decision, Delivery, DeliveryStory, DigestSlot, DigestWindow
from monitor.pipeline import audit, audit_due, digest_due, record_audit, schedule_slots
from monitor.pipeline.deliver import drain
from monitor.store import Store
from tests.fakes import free_port
from tests.pipe import START, Pipe, item
from tests.servers import MailServer, WebServer
from tests.services import SLACK, SLACK_BOT, STOCK, World, address, servers, world
from tests.test_policy import MONITOR, title

__all__ = ["servers", "world"]  # fixtures

TEXT = """
subscribers:
  ruth:
    channels: {{mail: "mailto://127.0.0.1:{port}?to=ruth@corvid.example"}}
    digest: {{at: ["07:00"]}}
    subscriptions:
      - {{topics: [sanctions], alert: {{via: [mail], at_most: 1/h}}}}
      - {{topics: [border-deployments], digest: true}}
  omar:
    channels: {{mail: "mailto://127.0.0.1:{port}?to=omar@corvid.example"}}
    subscriptions: [{{topics: [sanctions], alert: {{via: [mail], at_most: 1/h}}}}]
"""


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    """A night of alerts, limits, a digest and a summary, with nothing wrong about it."""
    opened = Pipe(tmp_path, START, subscribers=TEXT.format(port=free_port()), monitor=MONITOR)
    spend(opened)
    yield opened
    opened.app.store.close()
    opened.app.workers.close()


def spend(opened: Pipe) -> None:
    """Let the night pass."""
    schedule_slots(opened.app, opened.app.config, opened.time)
    opened.forward(minutes=1)
    opened.put("wire", item("1", title(1)), item("2", "Troops at the border of the north"))
    opened.put("post", item("3", title(3)))
    opened.at(7, 30)
    digest_due(opened.app)
    opened.forward(seconds=1)
    opened.put("wire", item("4", title(4)), item("5", title(5)))


def findings(pipe: Pipe) -> list[str]:
    return audit(pipe.app, START, pipe.time).findings


def test_what_is_whole_passes(pipe: Pipe) -> None:
    found = audit(pipe.app, START, pipe.time)
    assert found.findings == []
    assert (found.matches, found.decisions, found.deliveries) == (5, 9, 6)
    assert {row.reason for row in pipe.rows(Decision)} == {"sent", "limited", "digest"}


def limited(session: Session) -> None:
    session.execute(delete(Decision).where(col(Decision.reason) == "limited", col(Decision.subscriber) == "omar"))


def other_topic(session: Session) -> None:
    session.execute(update(Decision).where(col(Decision.reason) == "digest").values(topics=["sanctions"]))


def no_message(session: Session) -> None:
    row = session.exec(select(Delivery).where(Delivery.kind == "alert")).first()
    assert row is not None
    session.execute(delete(DeliveryStory).where(col(DeliveryStory.delivery_id) == row.id))
    session.delete(row)


def no_story(session: Session) -> None:
    row = session.exec(select(Delivery).where(Delivery.kind == "alert")).first()
    assert row is not None
    session.execute(delete(DeliveryStory).where(col(DeliveryStory.delivery_id) == row.id))


def no_channel(session: Session) -> None:
    session.execute(update(Decision).where(col(Decision.reason) == "sent").values(channels=[]))


def no_window(session: Session) -> None:
    session.execute(delete(DigestWindow).where(col(DigestWindow.subscriber) == "ruth"))


def no_slot(session: Session) -> None:
    session.execute(delete(DigestSlot).where(col(DigestSlot.subscriber) == "omar"))


def no_digest(session: Session) -> None:
    rows = session.exec(select(Delivery).where(Delivery.kind == "digest", Delivery.subscriber == "ruth")).all()
    for row in rows:
        session.execute(delete(DeliveryStory).where(col(DeliveryStory.delivery_id) == row.id))
        session.delete(row)


def becomes(**values: object) -> Callable[[Session], None]:
    def change(session: Session) -> None:
        row = session.exec(select(Delivery).where(Delivery.kind == "alert")).first()
        assert row is not None
        for name, value in values.items():
            setattr(row, name, value)

    return change


BROKEN = [
    # (what is broken, what the audit says of it, how often)
    (limited, "for omar, who followed it, nothing was decided", 2),
    (other_topic, "matched `border-deployments`", 1),
    (no_message, "no message by mail is in the outbox", 1),
    (no_story, "does not tell of the story", 1),
    (no_channel, "names no channel", 4),
    (no_window, "no digest or summary covers", 2),
    (no_slot, "for omar about story 5: no digest or summary covers", 1),
    (no_digest, "for ruth, with 2 stories: no message by mail is in the outbox", 1),
    (becomes(state="sent", finished_at=START), "was sent without a receipt", 1),
    (becomes(state="sent", finished_at=START, endpoint="slack 1"), "was sent without a receipt", 1),
    (becomes(state="sent", receipt="250 OK"), "not since when", 1),
    (becomes(state="dead", finished_at=START), "is dead without a reason", 1),
    (becomes(state="cancelled", finished_at=START), "is cancelled without a reason", 1),
    (becomes(state="held"), "is held without a reason", 1),
    (becomes(state="sending"), "is being sent by nobody", 1),
    (becomes(state="lost"), "is in the state `lost`", 1),
    (becomes(next_attempt_at=START + timedelta(days=9)), "when it is given up already", 1),
]


@pytest.mark.parametrize(("breaks", "said", "times"), BROKEN)
def test_what_is_broken_is_named(pipe: Pipe, breaks: Callable[[Session], None], said: str, times: int) -> None:
    with pipe.app.store.write() as session:
        breaks(session)
    found = findings(pipe)
    assert len([one for one in found if said in one]) == times, found


async def test_what_each_service_took_passes(tmp_path: Path, world: World) -> None:
    mail = MailServer()
    mail.start()
    urls = {name: address(world, name) for name in STOCK} | {"slack": SLACK, "slack-bot": SLACK_BOT}
    urls["mail"] = f"mailto://127.0.0.1:{mail.port}?to=ruth@corvid.example"
    alerts = "subscriptions: [{topics: all, alert: {via: [it]}}]"
    lines = "".join(f'  {name}: {{channels: {{it: "{url}"}}, {alerts}}}\n' for name, url in urls.items())
    pipe = Pipe(tmp_path, START, subscribers=f"subscribers:\n{lines}")
    pipe.put("wire", item("1", title(1)))
    try:
        await drain(pipe.app)
        rows = pipe.deliveries("alert")
        assert {row.subscriber: row.state for row in rows} == dict.fromkeys(urls, "sent")
        assert {row.detail for row in rows if row.subscriber in STOCK} == {"taken, as Apprise reports"}
        assert findings(pipe) == []
    finally:
        await pipe.app.close()
        mail.stop()


def test_what_a_service_took_before_its_answer_was_recorded_passes(pipe: Pipe) -> None:
    with pipe.app.store.write() as session:
        becomes(state="sent", finished_at=START, endpoint="ntfy 1f0c")(session)
    assert findings(pipe) == []


async def test_what_could_not_be_sent_passes_with_its_reason(pipe: Pipe) -> None:
    await drain(pipe.app)
    assert findings(pipe) == []
    pipe.forward(days=9)
    await drain(pipe.app)
    assert {row.state for row in pipe.deliveries("alert")} == {"dead"}
    assert findings(pipe) == []


async def test_a_server_that_asks_for_a_day_again_and_again_puts_nothing_off_beyond_its_time(tmp_path: Path) -> None:
    web = WebServer(lambda _: (429, {"Retry-After": "86000"}, b""))
    pipe = Pipe(tmp_path, START, subscribers=make_hook(web.port))
    pipe.put("wire", item("1", title(1)))
    try:
        for _ in range(4):
            await drain(pipe.app)
            assert findings(pipe) == []
            pipe.forward(hours=23, minutes=55)
        await drain(pipe.app)
        assert [row.state for row in pipe.deliveries("alert")] == ["dead"]
    finally:
        await pipe.app.close()
        web.close()


def make_hook(port: int) -> str:
    hook = f"channels: {{it: 'json://127.0.0.1:{port}/x'}}"
    return f"subscribers:\n  ruth: {{{hook}, subscriptions: [{{topics: all, alert: {{via: [it]}}}}]}}\n"


WEEKLY = """
subscribers:
  ruth:
    channels: {mail: "mailto://127.0.0.1:2525?to=ruth@corvid.example"}
    digest: {at: ["07:00"]}
    subscriptions: [{topics: [sanctions], digest: weekly}, {topics: [border-deployments], digest: true}]
"""


def weeks(tmp_path: Path) -> None:
    """A topic once a week and one every day: each digest that is lost is found."""
    pipe = Pipe(tmp_path, START, subscribers=WEEKLY, monitor=MONITOR)
    schedule_slots(pipe.app, pipe.app.config, pipe.time)
    try:
        for day in range(9):
            pipe.forward(minutes=1)
            pipe.put("wire", item(f"s{day}", title(day)), item(f"b{day}", f"Troops at the border of {title(day)[13:]}"))
            pipe.at(7, 30)
            digest_due(pipe.app)
            assert findings(pipe) == []
            pipe.forward(hours=23)
        (weekly,) = (row for row in pipe.rows(DigestWindow) if row.topics == ["sanctions"])
        assert weekly.stories == 6  # Wednesday to Monday, the first of the schedule's days
        with pipe.app.store.write() as session:
            session.execute(delete(DigestWindow).where(col(DigestWindow.id) == weekly.id))
        assert len([one for one in findings(pipe) if "for sanctions, and none is to come" in one]) == 6
        pipe.reload(subscribers=WEEKLY.replace("{topics: [sanctions], digest: weekly}, ", ""))
        assert findings(pipe) == []
        with pipe.app.store.write() as session:
            session.execute(update(DigestWindow).values(topics=None))  # as versions before recorded them
        pipe.reload(subscribers=WEEKLY)
        assert findings(pipe) == []
    finally:
        pipe.close()


def test_a_weekly_digest_that_is_lost_is_found(tmp_path: Path) -> None:
    weeks(tmp_path)


@pytest.mark.usefixtures("on_postgres")
def test_it_is_found_on_postgresql(tmp_path: Path) -> None:
    weeks(tmp_path)


def test_one_who_is_gone_is_owed_no_digest(pipe: Pipe) -> None:
    with pipe.app.store.write() as session:
        no_slot(session)
    pipe.reload(subscribers=TEXT.format(port=2525).split("  omar:")[0])
    assert findings(pipe) == []


def test_the_daily_audit_is_recorded_and_told_when_something_is_wrong(pipe: Pipe) -> None:
    assert audit_due(pipe.app, pipe.time)
    record_audit(pipe.app, audit(pipe.app, START, pipe.time))
    assert not audit_due(pipe.app, pipe.time)
    assert pipe.deliveries("notice") == []
    pipe.forward(days=1)
    assert audit_due(pipe.app, pipe.time)
    with pipe.app.store.write() as session:
        no_message(session)
    record_audit(pipe.app, audit(pipe.app, START, pipe.time))
    assert [row.wrong for row in pipe.rows(Audit)] == [0, 1]
    (notice,) = pipe.deliveries("notice")
    assert "1 thing wrong" in notice.payload["title"]
    assert "no message by mail" in " ".join(notice.payload["lines"])


def test_it_proves_the_same_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    store = Store(postgres_url, tmp_path)
    store.migrate()
    store.close()
    monitor = f"database_url: {postgres_url}\n{MONITOR}budget: 3/h\n"
    pipe = Pipe(tmp_path, START, subscribers=TEXT.format(port=2525), monitor=monitor)
    try:
        spend(pipe)
        assert findings(pipe) == []
        assert {row.state for row in pipe.rows(Delivery)} == {"pending", "held"}
        assert pipe.app.store.policies.release(pipe.time, drop=False) > 0
        assert pipe.app.store.policies.silence("sanctions", pipe.time + timedelta(hours=4), "", pipe.time) > 0
        assert findings(pipe) == []
        with pipe.app.store.write() as session:
            no_message(session)
            no_window(session)
        assert len(findings(pipe)) == 3
    finally:
        pipe.app.store.close()
        pipe.app.workers.close()


def test_a_window_is_closed_after_what_is_being_saved_by_another_process(postgres_url: str, tmp_path: Path) -> None:
    one, other = Store(postgres_url, tmp_path), Store(postgres_url, tmp_path)
    one.migrate()
    begun = Event()

    def begin(transaction: Callable[[], AbstractContextManager[object]]) -> Thread:
        def run() -> None:
            with transaction():
                begun.set()

        thread = Thread(target=run)
        thread.start()
        return thread

    try:
        for first, second, waits in (
            (one.ingest, other.closing, True),
            (one.closing, other.ingest, True),
            (one.ingest, other.ingest, False),
        ):
            begun.clear()
            with first():
                thread = begin(second)
                assert begun.wait(0.5 if waits else 30) != waits
            thread.join(30)
            assert begun.is_set()
    finally:
        one.close()
        other.close()

"""The database: its settings, its migration, and the outbox's state machine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from importlib import resources
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from sqlalchemy import event
from sqlmodel import SQLModel, text

from monitor import checking
from monitor.errors import StoreError
from monitor.events import headline_key
from monitor.models import DigestSlot, DigestWindow, FeedState, Match, Sighting, Story, new_row
from monitor.store import Store, fulltext
from monitor.store.archive import Archive
from monitor.store.peek import newest_stories
from tests.make import MONITOR, NOW, delivery, write_config


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    postgres = request.param == "postgresql"
    opened = Store(request.getfixturevalue("postgres_url") if postgres else "sqlite:///monitor.db", tmp_path)
    opened.migrate()
    yield opened
    opened.close()


def recorded(_object: object, name: str | None, kind: str, *_: object) -> bool:
    """Whether a table is of the models: the full-text index is no record, and another one in each database."""
    return kind != "table" or not (name or "").startswith(fulltext.TABLE)


def test_the_migrations_make_the_tables_that_the_models_describe(store: Store) -> None:
    with store.read() as session:
        options = {"compare_type": False, "include_object": recorded}
        context = MigrationContext.configure(session.connection(), opts=options)
        assert compare_metadata(context, SQLModel.metadata) == []


def test_times_are_kept_in_utc_to_the_microsecond(store: Store) -> None:
    times = [
        datetime(2026, 11, 25, 1, 2, 3, tzinfo=timezone(timedelta(hours=5, minutes=45))),
        datetime(2026, 11, 25, 1, 2, 3, 45, tzinfo=UTC),
        datetime(999, 1, 1, tzinfo=UTC),
    ]
    for number, at in enumerate(times):
        store.feeds.ensure({f"feed-{number}": "https://feeds.example/"}, at)
    found = [state.next_poll_at for _, state in sorted(store.feeds.states().items())]
    assert found == times
    assert all(at.tzinfo is UTC for at in found)
    with pytest.raises(StoreError, match="a time without zone"):
        store.feeds.update("feed-0", next_poll_at=NOW.replace(tzinfo=None))
    if store._writer.dialect.name == "sqlite":
        # As SQLAlchemy writes them: texts of one length, whose order is that of the times, also in older databases.
        with store.read() as session:
            texts = session.execute(text("SELECT next_poll_at FROM feed_state ORDER BY feed")).scalars().all()
        assert texts == ["2026-11-24 19:17:03.000000", "2026-11-25 01:02:03.000045", "0999-01-01 00:00:00.000000"]


def test_a_database_is_brought_up_to_date_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    store = Store("sqlite:///monitor.db", tmp_path)

    def break_off(_1: object, _2: object, statement: str, *_: object) -> None:
        if statement.lstrip().startswith("CREATE TABLE verdict"):
            raise OSError("the power failed")

    event.listen(store._writer, "before_cursor_execute", break_off)
    with pytest.raises(StoreError, match="the power failed"):
        store.migrate()
    event.remove(store._writer, "before_cursor_execute", break_off)
    with store._writer.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == 0
    store.migrate()
    assert store.ready()
    store.close()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_sqlite_keeps_its_promises(store: Store) -> None:
    with store.write() as session:
        found = {name: session.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")}
        assert found == {"journal_mode": "wal", "synchronous": 2}


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_write_begins_immediately_so_that_it_cannot_fail_half_way(store: Store, tmp_path: Path) -> None:
    other = Store("sqlite:///monitor.db", tmp_path)
    try:
        with store.write() as session:
            session.add(FeedState(feed="a", url="u", next_poll_at=NOW))
            session.flush()
            with other.read() as reading:  # readers go on meanwhile, on the state before
                assert reading.execute(text("SELECT count(*) FROM feed_state")).scalar() == 0
    finally:
        other.close()
    assert store.feeds.get("a") is not None


def test_an_exception_leaves_nothing_of_its_transaction(store: Store) -> None:
    def half_way() -> None:
        with store.write() as session:
            session.add(FeedState(feed="a", url="u", next_poll_at=NOW))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_way()
    assert store.feeds.get("a") is None


def test_times_come_back_as_they_went_in(store: Store) -> None:
    store.feeds.ensure({"a": "u"}, NOW)
    state = store.feeds.get("a")
    assert state is not None
    assert state.next_poll_at == NOW
    assert state.next_poll_at.tzinfo is not None


def test_a_database_that_cannot_be_opened_says_which_and_why(tmp_path: Path) -> None:
    (tmp_path / "monitor.db").write_bytes(b"this is no database, but a text of some length" * 100)
    opened = Store("sqlite:///monitor.db", tmp_path)
    with pytest.raises(StoreError, match=r"monitor\.db could not be .*not a database"):
        opened.migrate()
    opened.close()


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a database address"):
        Store("what is this", tmp_path)


def test_a_changed_address_drops_the_validators(store: Store) -> None:
    store.feeds.ensure({"a": "https://one.example/"}, NOW)
    store.feeds.update("a", etag='"1"', body_hash="x")
    store.feeds.ensure({"a": "https://two.example/"}, NOW)
    state = store.feeds.get("a")
    assert state is not None
    assert (state.url, state.etag, state.body_hash) == ("https://two.example/", None, None)


def test_the_same_key_goes_out_once(store: Store) -> None:
    assert store.outbox.add(delivery("k"))
    assert not store.outbox.add(delivery("k"))
    assert len(store.outbox.latest()) == 1


def test_a_claimed_message_is_not_claimed_again_until_its_lease_ends(store: Store) -> None:
    store.outbox.add(delivery("k"))
    assert [row.key for row in store.outbox.claim(NOW, 60, 10)] == ["k"]
    assert store.outbox.claim(NOW, 60, 10) == []
    assert store.outbox.sweep(NOW + timedelta(seconds=59)) == 0
    assert store.outbox.sweep(NOW + timedelta(seconds=60)) == 1
    again = store.outbox.claim(NOW + timedelta(seconds=60), 60, 10)
    assert [(row.key, row.attempts, row.maybe_dup) for row in again] == [("k", 2, 0)]


def test_a_message_that_was_on_the_wire_is_marked_when_its_lease_ends(store: Store) -> None:
    store.outbox.add(delivery("k"))
    (row,) = store.outbox.claim(NOW, 60, 10)
    assert row.id is not None
    assert store.outbox.mark_wire(row.id, row.fence, NOW)
    store.outbox.sweep(NOW, gone="")
    (again,) = store.outbox.claim(NOW, 60, 10)
    assert (again.message_id, again.maybe_dup) == (row.message_id, 1)


def test_only_the_latest_claim_may_send_or_finish(store: Store) -> None:
    store.outbox.add(delivery("k"))
    (old,) = store.outbox.claim(NOW, 60, 10)
    store.outbox.sweep(NOW, gone="")
    (new,) = store.outbox.claim(NOW, 60, 10)
    assert old.id is not None
    assert not store.outbox.mark_wire(old.id, old.fence, NOW)
    assert store.outbox.mark_wire(old.id, new.fence, NOW)
    assert not store.outbox.finish(old.id, old.fence, NOW, "250", "", "")
    assert store.outbox.finish(old.id, new.fence, NOW, "250", "", "queued as 1")
    assert [row.maybe_dup for row in store.outbox.latest()] == [1]
    assert [row.state for row in store.outbox.latest()] == ["sent"]


def test_a_channel_is_sent_one_message_at_a_time_and_others_do_not_wait(store: Store) -> None:
    for key, channel in [("a", "mail"), ("b", "mail"), ("c", "slack")]:
        store.outbox.add(delivery(key, channel=channel))
    assert [row.key for row in store.outbox.claim(NOW, 60, 10)] == ["a", "c"]
    assert store.outbox.claim(NOW, 60, 10, busy=("ruth/mail",)) == []


def test_a_message_put_back_waits_for_its_time(store: Store) -> None:
    store.outbox.add(delivery("k"))
    (row,) = store.outbox.claim(NOW, 60, 10)
    assert row.id is not None
    store.outbox.retry(row.id, row.fence, NOW + timedelta(seconds=30), "451", "try later", maybe_sent=True)
    assert store.outbox.claim(NOW + timedelta(seconds=29), 60, 10) == []
    (again,) = store.outbox.claim(NOW + timedelta(seconds=30), 60, 10)
    assert (again.attempts, again.maybe_dup, again.detail) == (2, 1, "try later")


def test_a_message_past_its_time_is_given_up_and_can_be_retried_by_a_person(store: Store) -> None:
    store.outbox.add(delivery("k"))
    late = NOW + timedelta(days=4)
    assert store.outbox.claim(late, 60, 10) == []
    assert [row.key for row in store.outbox.expire(late)] == ["k"]
    (row,) = store.outbox.latest(("dead",))
    assert row.code == "expired"
    assert store.outbox.requeue([row.id or 0], late, late + timedelta(days=1)) == [row.id]
    assert [again.key for again in store.outbox.claim(late, 60, 10)] == ["k"]


def test_unsubscribing_cancels_what_waits_for_that_topic_alone(store: Store) -> None:
    for key, topics in [("a", ["sanctions"]), ("b", ["sanctions", "elections"])]:
        row = delivery(key)
        row.topics = topics
        store.outbox.add(row)
    assert store.outbox.cancel_for("ruth", "sanctions", NOW) == 1
    assert {row.key: row.state for row in store.outbox.latest()} == {"a": "cancelled", "b": "pending"}
    assert store.outbox.cancel_for("ruth", None, NOW) == 1


def test_a_slot_moves_once_and_takes_its_digest_with_it(store: Store) -> None:
    slot = DigestSlot(subscriber="ruth", schedule="s", local="l", last_at=NOW, next_at=NOW + timedelta(hours=1))
    store.slots.save(slot)
    following = DigestSlot(
        subscriber="ruth", schedule="s", local="m", last_at=slot.next_at, next_at=NOW + timedelta(days=1)
    )
    row = delivery("digest")
    window = DigestWindow(subscriber="ruth", since=NOW, until=slot.next_at, local="l", stories=1)
    with store.closing() as work:
        found = work.slot("ruth")
        assert found is not None
        assert work.close(found, following, [window], [(row, [])]) == [row]
    with store.closing() as work:
        found = work.slot("ruth")
        assert found is not None
        assert found.next_at == following.next_at
        window = DigestWindow(subscriber="ruth", since=NOW, until=slot.next_at, local="l", stories=1)
        assert work.close(found, None, [window], [(delivery("digest"), [])]) == []  # a key that was there already
    with store.closing() as work:
        assert work.slot("ruth") is None
    assert [row.key for row in store.outbox.latest()] == ["digest"]


def test_retention_removes_old_stories_and_remembers_that_they_were_seen(store: Store) -> None:
    with store.ingest() as work:
        for name, age in [("old", 100), ("new", 1)]:
            seen = NOW - timedelta(days=age)
            story = Story(key=name, feed="f", source="S", url="", title=name, first_seen_at=seen, effective_at=seen)
            work.add_story(story, None, seen)
            work.add_sighting(story, "f", name, "h", seen, baseline=False)
            work.add(Match(story_id=story.id or 0, topic="t", rule="r", matched_at=seen))
    gone = store.archive.prune(NOW - timedelta(days=90), NOW - timedelta(days=400))
    assert gone == (1, 0)
    assert [[story.title for story in store.archive.find(name)] for name in ("old", "new")] == [[], ["new"]]
    with store.read() as session:
        assert session.get(Sighting, 1) is not None
    assert store.feeds.histories([("f", ["old", "new"])], NOW)[0].known == {"old": "h", "new": "h"}


def test_what_is_known_of_several_feeds_is_read_together_and_kept_apart(store: Store) -> None:
    with store.ingest() as work:
        for feed, hours in (("f", (0, 1, 2)), ("g", (1, 5))):
            for hour in hours:
                at = NOW + timedelta(hours=hour)
                name = f"{feed}{hour}"
                story = Story(key=name, feed=feed, source="S", url="", title=name, first_seen_at=at, effective_at=at)
                work.add_story(story, None, at)
                work.add_sighting(story, feed, str(hour), name, at, baseline=False)
    found = store.feeds.histories([("f", ["1", "5"]), ("g", ["1", "5", "6"]), ("new", ["1"])], NOW - timedelta(days=14))
    assert [one.known for one in found] == [{"1": "f1"}, {"1": "g1", "5": "g5"}, {}]
    assert [one.first for one in found] == [NOW, NOW + timedelta(hours=1), None]
    # What a feed had when it was first seen is no story that came.
    later = [[NOW + timedelta(hours=hour) for hour in hours] for hours in ((2, 1), (5,), ())]
    assert [list(one.seen) for one in found] == later


TITLES = {
    "https://wire.example/1": "Troops sent to the border",
    "https://wire.example/2": "New troops sent to the border by rail",
    "https://wire.example/3": "To the border: why troops were sent",
    "https://wire.example/4": "Troops sent to the bordering states",
    "https://wire.example/5": "Bogotá: Peace",
    "https://wire.example/6?id=7": "Москва говорит о переговорах",
    "https://wire.example/7": "",
}


@pytest.fixture
def archive(store: Store) -> Archive:
    with store.ingest() as work:
        for url, title in TITLES.items():
            story = Story(
                key=f"url:{url}",
                feed="f",
                source="S",
                url=url.replace("https://", "http://www."),
                title=title,
                title_fold=headline_key(title),
                first_seen_at=NOW,
                effective_at=NOW,
            )
            work.add_story(story, None, NOW)
    return store.archive


FOUND = [
    ("Troops sent to the border", [1, 2, 3]),  # the exact headline, then the phrase, then the words; not "bordering"
    ("the border", [3, 2, 1]),  # equally good ones: the newest first
    ("sent to", [4, 2, 1, 3]),
    ("sent border", [3, 2, 1]),
    ("were sent", [3]),
    ("b", []),
    ("bogota", [5]),
    ("МОСКВА", [6]),
    ("", []),
    ("   ", []),
    ("?!", []),
    ("%", []),
    ("6", [6]),
    ("999", []),
    ("https://wire.example/2", [2]),
    ("http://www.wire.example/2", [2]),
    ("https://wire.example/6?utm_source=rss&id=7&fbclid=x#top", [6]),
    ("https://wire.example/nowhere", []),
    ("https://", []),
]


@pytest.mark.parametrize(("asked", "ids"), FOUND)
def test_a_story_is_found_by_id_address_or_whole_words_of_its_headline(
    archive: Archive, asked: str, ids: list[int]
) -> None:
    assert [story.id for story in archive.find(asked)] == ids


# --- a look into the archive from outside


def fill(store: Store, count: int, *, baseline: bool = False, title: str = "Sanctions") -> None:
    with store.ingest() as ingest:
        for n in range(count):
            at = NOW + timedelta(minutes=n)
            story = Story(
                key=f"{baseline}{n}",
                feed="wire",
                source="Wire",
                url=f"https://news.example/{n}",
                title=title,
                first_seen_at=at,
                effective_at=at,
            )
            ingest.add_sighting(ingest.add_story(story, None, at), "wire", f"{baseline}{n}", "", at, baseline)


def test_a_look_from_outside_sees_the_newest_stories_and_leaves_no_trace(tmp_path: Path) -> None:
    store = Store("sqlite:///monitor.db", tmp_path)
    store.migrate()
    fill(store, 9, title="Latest")
    fill(store, 5, baseline=True)
    for _ in ("while the daemon runs", "when it has stopped"):
        before = sorted(path.name for path in tmp_path.iterdir())
        found = newest_stories("sqlite:///monitor.db", tmp_path, 3)
        assert [(story.title, story.url) for story in found] == [
            ("Latest", f"https://news.example/{n}") for n in (8, 7, 6)
        ]
        assert sorted(path.name for path in tmp_path.iterdir()) == before
        store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["monitor.db"]


def test_a_look_at_what_is_no_archive_sees_nothing(tmp_path: Path) -> None:
    for url in ("sqlite:///none.db", "sqlite://", "postgresql+psycopg://nobody@127.0.0.1:1/x", "nonsense"):
        assert newest_stories(url, tmp_path, 3) == ()
    (tmp_path / "bad.db").write_bytes(b"no database" * 1_000)
    (tmp_path / "empty.db").write_bytes(b"")
    for name in ("bad.db", "empty.db"):
        assert newest_stories(f"sqlite:///{name}", tmp_path, 3) == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.db", "empty.db"]


def test_check_warns_of_topics_that_match_too_much_of_the_archive(tmp_path: Path) -> None:
    pages = MONITOR.replace("web: off\n", "")
    folder, data = write_config(tmp_path / "config", monitor=pages), tmp_path / "data"
    assert checking.check(folder, {}, data).problems == ()
    assert not data.exists()
    store = Store("sqlite:///monitor.db", data)
    store.migrate()
    fill(store, 60)
    store.close()
    (problem,) = checking.check(folder, {}, data).problems
    assert problem.level == "warning"
    assert "`sanctions` would alert about 60 times a day" in problem.message
    assert "60 of these by `sanction*`" in problem.message
    assert checking.check(folder, {}).problems == ()


def test_a_store_whose_last_write_failed_is_not_ready_until_one_succeeds(store: Store) -> None:
    assert store.ready()
    with pytest.raises(StoreError), store.write() as session:
        session.execute(text("INSERT INTO nowhere VALUES (1)"))
    assert not store.ready()
    store.outbox.add(delivery("k"))
    assert store.ready()


def test_a_database_of_the_first_version_keeps_its_feeds(tmp_path: Path) -> None:
    opened = Store("sqlite:///monitor.db", tmp_path)
    with (
        resources.as_file(resources.files("monitor") / "migrations") as scripts,
        opened._writer.connect() as connection,
    ):
        config = AlembicConfig()
        config.set_main_option("script_location", str(scripts))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        at = "2026-11-25 06:00:00.000000"
        connection.exec_driver_sql(
            "INSERT INTO feed_state (feed, url, next_poll_at, interval, etag, failures, stories) "
            f"VALUES ('wire', 'https://feeds.example/', '{at}', 600, '\"1\"', 2, 30)"
        )
        connection.commit()
    opened.migrate()
    state = opened.feeds.get("wire")
    opened.close()
    assert state is not None
    assert (state.etag, state.failures, state.stories) == ('"1"', 2, 30)
    assert (state.rhythm, state.moved_polls, state.told, state.whole_due_at) == ([], 0, "", None)


def test_a_new_row_is_as_the_tables_own_constructor_makes_it() -> None:
    values = {"key": "guid:1", "feed": "wire", "title": "Sanctions agreed", "tags": ["eu"], "first_seen_at": NOW}
    for table, given in ((Story, values), (Match, {"topic": "sanctions"}), (Match, {"evidence": [{"terms": []}]})):
        row, theirs = new_row(table, **given), table(**given)
        assert (row, vars(row).keys()) == (theirs, vars(theirs).keys())
    assert new_row(Story).tags is not new_row(Story).tags
    with pytest.raises(AssertionError, match="titel"):
        new_row(Story, titel="Sanctions agreed")

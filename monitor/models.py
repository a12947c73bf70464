"""What is recorded: SQLModel tables, and nothing that queries them (that is `store`).

All times are UTC. Declared things (feeds, topics, channels, subscribers) are referred to by name and may be gone: their
history stays readable. Migrations in `monitor/migrations` bring a database to what stands here; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import JSON, BigInteger, DateTime, Index, Integer, UniqueConstraint, text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel


class UTCDateTime(TypeDecorator[datetime]):
    """A zone-aware UTC datetime; SQLite, which knows no zones, stores it without one. A naive datetime is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Convert to UTC on the way in."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without zone: {value!r}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Convert to UTC on the way out: PostgreSQL tells times in the connection's zone."""
        return None if value is None else value.astimezone(UTC)

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any] | None:
        """Return how times are written; what SQLAlchemy does for SQLite takes a fifth of a poll's writing."""
        if dialect.name != "sqlite":
            return super().bind_processor(dialect)

        def written(value: datetime | None) -> str | None:
            value = self.process_bind_param(value, dialect)
            return None if value is None else value.replace(tzinfo=None).isoformat(" ", "microseconds")

        return written

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """Return how times are read; the same holds."""
        if dialect.name != "sqlite":
            return super().result_processor(dialect, coltype)

        def read(value: str | None) -> datetime | None:
            return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)

        return read


Row = TypeVar("Row", bound=SQLModel)


def new_row(table: type[Row], **values: Any) -> Row:
    """Return a new row of a table, its other fields as they are by default.

    The table's own constructor, which sets field by field as of an object that is known already, takes ten times as
    long, for each story, its event and its matches. The row is to be inserted whole.
    """
    constant, made = _defaults(table)
    assert values.keys() <= table.model_fields.keys(), values.keys() - table.model_fields.keys()
    row: Row = table.__mapper__.class_manager.new_instance()  # type: ignore[attr-defined] # SQLAlchemy gives it to tables
    vars(row).update(constant, **{name: make() for name, make in made.items() if name not in values})
    vars(row).update(values)
    return row


@cache
def _defaults(table: type[SQLModel]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    fields = table.model_fields.items()
    made = {name: cast(Callable[[], Any], one.default_factory) for name, one in fields if one.default_factory}
    return {name: one.default for name, one in fields if not one.is_required() and name not in made}, made


# SQLite gives automatic row numbers to INTEGER keys only.
_Id = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Any:
    return Field(default=None, primary_key=True, sa_type=_Id)


class FeedState(SQLModel, table=True):
    """The health of a feed: validators, next poll, failures. One row a feed, made at its first poll.

    `etag`, `last_modified` and `body_hash` are of the last answer whose stories were saved; they change only in the
    transaction that saves them. At `whole_due_at` the document is asked for without them. `next_poll_at` is the
    schedule, `interval` (seconds) after `polled_at`. `failures` counts those in a row.

    At `baseline_at` its first poll was saved, whose stories alert nobody; while `baseline_open` only a part of it was.

    `url` is the declared address. Since `moved_since` and for `moved_polls` polls in a row it has led to `moved_to` by
    permanent redirects; when that proves stable, `address` is asked instead. Since `gone_since` the server says that
    the feed is gone for good.

    The last document took `reading` seconds of processor time to be read, or was stopped after so many; it holds
    `stories`, which cover `span` seconds, and is to be kept for `ttl`. `rhythm` is a
    `timing.Rhythm`: 24 hours, 7 weekdays. At `gap_at` a document had none of the stories known before: some may have
    come and gone unseen. From `silent_at` on it counts as silent if it brings nothing more. `took` is how many seconds
    its answers take, `told` what the operators were told last: broken, silent, paused, or nothing.
    """

    __tablename__ = "feed_state"

    feed: str = Field(primary_key=True)
    url: str
    next_poll_at: datetime = Field(sa_type=UTCDateTime, index=True)
    polled_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    succeeded_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    changed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    baseline_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    baseline_open: bool = False
    interval: float = 0.0
    etag: str | None = None
    last_modified: str | None = None
    body_hash: str | None = None
    whole_due_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    address: str | None = None
    moved_to: str | None = None
    moved_since: datetime | None = Field(default=None, sa_type=UTCDateTime)
    moved_polls: int = 0
    gone_since: datetime | None = Field(default=None, sa_type=UTCDateTime)
    status: int | None = None
    failures: int = 0
    failing_since: datetime | None = Field(default=None, sa_type=UTCDateTime)
    error: str | None = None
    reading: float = 0.0
    stories: int = 0
    note: str | None = None
    span: float | None = None
    ttl: float = 0.0
    rhythm: list[float] = Field(default_factory=list, sa_type=JSON)
    gap_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    silent_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    took: float = 0.0
    told: str = ""


class SiteRest(SQLModel, table=True):
    """A site (a registrable domain) that asked to be left alone, and until when."""

    __tablename__ = "site_rest"

    site: str = Field(primary_key=True)
    until: datetime = Field(sa_type=UTCDateTime)


class Outage(SQLModel, table=True):
    """When no feed could be reached, as our own network seemed to be down; `over_at` once a server has answered again.

    There is one row at most: the latest.
    """

    __tablename__ = "outage"

    since: datetime = Field(primary_key=True, sa_type=UTCDateTime)
    over_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class FeedDocument(SQLModel, table=True):
    """The items of a feed's last document whose stories are saved, as `parse_feed` wrote them: none is parsed again."""

    __tablename__ = "feed_document"

    feed: str = Field(primary_key=True)
    seen: str


class HubLease(SQLModel, table=True):
    """What a WebSub hub was asked for: to push a feed, known to it as `topic`, to `callback`, signed by `secret`.

    `key` is the hash of the callback's last part, which nobody can guess, so that looking it up tells nothing of it.

    States: asked → verified, or denied; verified → broken when a poll finds stories that were not pushed, and back with
    the next push; leaving, once it is no longer wanted. A feed has one that is not leaving. At `next_at` the hub is
    asked (again); `tries` counts the times since it last confirmed, the last at `asked_at`. It confirmed at
    `verified_at`, renewals aside, and pushes until `lease_until`. `pushed_at` is its last sign of life; at `pinged_at`
    it said that there is news without saying what, so that the feed was polled. `missing` are guids of stories that
    polls found first, since `missing_since`; `forged` counts pushes with a wrong signature.
    """

    __tablename__ = "hub_lease"

    key: str = Field(primary_key=True)
    feed: str = Field(index=True)
    hub: str
    topic: str
    callback: str = Field(repr=False)
    secret: str = Field(repr=False)
    state: str = "asked"
    next_at: datetime = Field(sa_type=UTCDateTime, index=True)
    tries: int = 0
    asked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    verified_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    lease_until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    pushed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    pinged_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    missing: list[str] = Field(default_factory=list, sa_type=JSON)
    missing_since: datetime | None = Field(default=None, sa_type=UTCDateTime)
    forged: int = 0
    error: str = ""


class Story(SQLModel, table=True):
    """One article. `key` is its identity across feeds (DESIGN.md, identity and time).

    `published_raw` is the publisher's own string, `claimed_at` what it says, `first_seen_at` when we saw it, and
    `effective_at` the one to order by: the claim where it is plausible, else first sight (`date_doubtful`).
    `content_hash` covers title, summary, text and link as the feed has them; `edits` counts its changes. `text` is the
    feed's own, or since `page_at` that of the story's page. `event_why` says how it came into its event, and
    `event_refused` which event was the nearest that it did not join: its number, likeness and shared words.
    """

    __table_args__ = (
        Index("ix_story_edits", "edits", sqlite_where=text("edits > 0"), postgresql_where=text("edits > 0")),
    )

    id: int | None = _id()
    key: str = Field(unique=True)
    event_id: int | None = Field(default=None, foreign_key="event.id", index=True, sa_type=_Id)
    feed: str
    source: str
    url: str
    title: str
    title_fold: str = ""
    summary: str = ""
    text: str = ""
    author: str = ""
    language: str = ""
    country: str = ""
    tags: list[str] = Field(default_factory=list, sa_type=JSON)
    published_raw: str = ""
    claimed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    first_seen_at: datetime = Field(sa_type=UTCDateTime, index=True)
    effective_at: datetime = Field(sa_type=UTCDateTime, index=True)
    date_doubtful: bool = False
    content_hash: str = ""
    edits: int = 0
    edited_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    page_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    event_why: str = ""
    event_refused: dict[str, Any] | None = Field(default=None, sa_type=JSON)


class Page(SQLModel, table=True):
    """The page of a story whose feed asks for the full text. It is read at `due_at`; without one it is done with.

    `host` is that of its address, `tries` counts those that failed, and `error` says why the last one did.
    """

    __table_args__ = (
        Index(
            "ix_page_due",
            "host",
            "due_at",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
    )

    story_id: int = Field(foreign_key="story.id", primary_key=True, sa_type=_Id)
    feed: str
    host: str
    due_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    tries: int = 0
    error: str = ""


class Sighting(SQLModel, table=True):
    """A story seen in a feed under a guid; its first time there. Outlives the document: nothing comes back as new.

    `content_hash` is of what this feed says of the story now. `story_id` is empty once retention removed the story.
    `listed_at` is when the feed's document last had it, to within three days.
    """

    __table_args__ = (
        UniqueConstraint("feed", "guid"),
        Index("ix_sighting_listed", "feed", "listed_at"),
        Index("ix_sighting_seen", "feed", "seen_at"),
    )

    id: int | None = _id()
    story_id: int | None = Field(default=None, foreign_key="story.id", index=True, sa_type=_Id)
    feed: str
    guid: str
    content_hash: str = ""
    seen_at: datetime = Field(sa_type=UTCDateTime)
    listed_at: datetime = Field(sa_type=UTCDateTime)
    baseline: bool = False


class Match(SQLModel, table=True):
    """A story that a topic's rule describes, with the evidence: a list of {field, start, end, term, entity}.

    `rule` is the version (a hash) of the rule that matched. `alerting` is false for a first poll's stories. `policy_id`
    is the Policy by which it was decided who is told.
    """

    __table_args__ = (
        UniqueConstraint("story_id", "topic"),
        Index("ix_match_topic_at", "topic", "matched_at"),
    )

    id: int | None = _id()
    story_id: int = Field(foreign_key="story.id", sa_type=_Id)
    topic: str
    rule: str
    evidence: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    matched_at: datetime = Field(sa_type=UTCDateTime, index=True)
    alerting: bool = True
    policy_id: int | None = Field(default=None, sa_type=_Id)


class Verdict(SQLModel, table=True):
    """Why a story matched a topic, or came close to it and did not: the rule's tree as it was decided then.

    `rule` is the version that decided, `note` what a near miss failed by, `tree` a packed `rules.Explanation`.
    """

    __table_args__ = (
        Index("ix_verdict_story", "story_id", "topic"),
        Index(
            "ix_verdict_near",
            "topic",
            "decided_at",
            sqlite_where=text("NOT matched"),
            postgresql_where=text("NOT matched"),
        ),
    )

    id: int | None = _id()
    story_id: int = Field(foreign_key="story.id", sa_type=_Id)
    topic: str
    rule: str
    matched: bool
    note: str = ""
    tree: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    decided_at: datetime = Field(sa_type=UTCDateTime)


class Event(SQLModel, table=True):
    """The stories of several outlets about one happening. `why` says how the latest one came to join.

    `key` is that of the story it began with, which retention may have removed since; where an operator parted it, that
    of one of its stories and the time.
    `told` is the `events.Account` of what was told of it at once, to anybody.
    """

    id: int | None = _id()
    key: str = ""
    started_at: datetime = Field(sa_type=UTCDateTime, index=True)
    updated_at: datetime = Field(sa_type=UTCDateTime)
    stories: int = 1
    why: str = ""
    told: dict[str, Any] | None = Field(default=None, sa_type=JSON)


class StorySketch(SQLModel, table=True):
    """A story of the events' window, as `events.Row` describes it; it goes when it has left the window."""

    __tablename__ = "story_sketch"

    story_id: int = Field(foreign_key="story.id", primary_key=True, sa_type=_Id)
    event_id: int = Field(sa_type=_Id, index=True)
    arrived: float = Field(index=True)
    at: float
    source: str
    language: str
    title_terms: int
    lead_terms: int
    standing: int = Field(sa_type=BigInteger)
    series: int = Field(sa_type=BigInteger)
    names: int = Field(sa_type=BigInteger)
    voice: int
    terms: str
    weights: bytes


class EventChange(SQLModel, table=True):
    """What an operator changed: `story_ids` were put out of event `event_id` into `into_id`, by `kind` split or merge.

    Its number is by what a running daemon knows which changes it has taken up.
    """

    __tablename__ = "event_change"

    id: int | None = _id()
    kind: str
    event_id: int = Field(sa_type=_Id)
    into_id: int = Field(sa_type=_Id)
    story_ids: list[int] = Field(default_factory=list, sa_type=JSON)
    at: datetime = Field(sa_type=UTCDateTime)


class Decision(SQLModel, table=True):
    """What was decided for a story's event and a subscriber, with a reason code of `dispatch.Reason`.

    An alert goes by `channels` at `due_at`, later than `decided_at` where quiet hours hold it or it waits for others.
    `key` is its message's, of which the keys of the deliveries are made; several decisions share a gathered one.
    """

    __table_args__ = (Index("ix_decision_event", "event_id", "subscriber"),)

    id: int | None = _id()
    story_id: int = Field(foreign_key="story.id", index=True, sa_type=_Id)
    event_id: int = Field(sa_type=_Id)
    subscriber: str
    reason: str
    detail: str = ""
    topics: list[str] = Field(default_factory=list, sa_type=JSON)
    channels: list[str] = Field(default_factory=list, sa_type=JSON)
    key: str = ""
    decided_at: datetime = Field(sa_type=UTCDateTime)
    due_at: datetime | None = Field(default=None, sa_type=UTCDateTime, index=True)


class Delivery(SQLModel, table=True):
    """One message for one channel of one subscriber: the outbox and the log.

    States: pending → sending → sent | pending (later) | held | dead; a person may make it cancelled, or pending again
    (docs/reference/delivery.md has the diagram). `key` is unique, so a repeated run adds nothing, and `message_id` is a
    function of it. `attempts` counts those that a server answered, and a first one that none did. `fence` counts
    claims: only the holder of the latest may retry it or give it up. `wire_at` is set just before the bytes go out: a
    lease that ends with it set may have been sent, and is tried again under the same `message_id` with `maybe_dup`
    counted up. `payload` is the Alert or Digest. `dated_at` is when it was first tried, the date that all its attempts
    bear; of one that is sent in parts the first `parts` went.

    `endpoint` is the server that it goes by and `recipient` its address (`endpoints`), as they are declared now.
    `incident` names what an alert tells of, for acknowledging; at `escalate_at` it goes on to others (Escalation).
    """

    __table_args__ = (
        Index(
            "ix_delivery_due",
            "endpoint",
            "next_attempt_at",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "ix_delivery_lease",
            "lease_until",
            sqlite_where=text("state = 'sending'"),
            postgresql_where=text("state = 'sending'"),
        ),
        Index(
            "ix_delivery_held",
            "recipient",
            sqlite_where=text("state = 'held'"),
            postgresql_where=text("state = 'held'"),
        ),
        Index("ix_delivery_subscriber", "subscriber", "channel", "created_at"),
        Index("ix_delivery_created", "created_at"),
        Index("ix_delivery_state", "state", "finished_at"),
    )

    id: int | None = _id()
    key: str = Field(unique=True)
    kind: str
    subscriber: str
    channel: str
    topics: list[str] = Field(default_factory=list, sa_type=JSON)
    subject: str = ""
    message_id: str
    payload: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    state: str = "pending"
    attempts: int = 0
    fence: int = 0
    lease_until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    wire_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    maybe_dup: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)
    next_attempt_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    code: str = ""
    detail: str = ""
    receipt: str = ""
    lease_owner: str = ""
    endpoint: str = ""
    recipient: str = ""
    incident: str = Field(default="", index=True)
    escalate_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    dated_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    parts: int = 0


class Endpoint(SQLModel, table=True):
    """A server, webhook or chat that messages go by, with what all who share it must keep to. Made when it is needed.

    `failures` are those in a row by which it seems to be down; until `open_until` nothing is sent to it. `ready_at` is
    when its pace leaves room for the next message. `error` says what was wrong last, since `failing_since`.
    The operators were told at `told_at` that it is down; it has answered since `back_at`.
    """

    key: str = Field(primary_key=True)
    failures: int = 0
    failing_since: datetime | None = Field(default=None, sa_type=UTCDateTime)
    open_until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    ready_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    error: str = ""
    told_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    back_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class Recipient(SQLModel, table=True):
    """An address that refused messages for good: `refusals` in a row, of which `error` is the last.

    Since `suspended_at` nothing is sent to it. `key` is a hash of the address, so another address in its place is
    another recipient; `subscriber` and `channel` are those it was refused for.
    """

    key: str = Field(primary_key=True)
    subscriber: str
    channel: str
    refusals: int = 0
    suspended_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    error: str = ""


class Escalation(SQLModel, table=True):
    """What must be acknowledged: the `incident` that the alert `delivery_id` was the first to tell of.

    At `due_at`, unless somebody has acknowledged it, it goes to the channel number `step` (from 0 on) of its topic's
    `escalate: {to: …}`; without a due time there is no further one.
    """

    incident: str = Field(primary_key=True)
    delivery_id: int = Field(foreign_key="delivery.id", sa_type=_Id)
    step: int = 0
    due_at: datetime | None = Field(default=None, sa_type=UTCDateTime, index=True)
    acknowledged_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    acknowledged_by: str = ""


class DeliveryStory(SQLModel, table=True):
    """Which stories a delivery tells of."""

    __tablename__ = "delivery_story"

    delivery_id: int = Field(foreign_key="delivery.id", primary_key=True, sa_type=_Id)
    story_id: int = Field(foreign_key="story.id", primary_key=True, index=True, sa_type=_Id)


class DigestSlot(SQLModel, table=True):
    """The digest schedule of one subscriber: the last boundary and the next, both stored.

    A digest covers (`last_at`, `next_at`]. `local` is the slot's date and time in the subscriber's zone
    ("2026-11-25 07:00"): one slot a local date and time of day. `schedule` is the
    declared one that `next_at` was worked out from, so that a change of the YAML is noticed.

    `begun` holds the topics of a weekly digest whose window began before `last_at`, with that time in ISO 8601.
    """

    __tablename__ = "digest_slot"

    subscriber: str = Field(primary_key=True)
    schedule: str
    local: str
    last_at: datetime = Field(sa_type=UTCDateTime)
    next_at: datetime = Field(sa_type=UTCDateTime, index=True)
    begun: dict[str, str] = Field(default_factory=dict, sa_type=JSON)


class DigestWindow(SQLModel, table=True):
    """A window that was closed: what was matched or held back in (`since`, `until`] is in the digest of it.

    `stories` counts those that it covers, shown or counted in it; `channels` are those that it was made for, none where
    nothing matched and the subscriber wants no empty digests. `local` is the slot in the reader's zone. `topics` are
    those whose digest it is, None where that was not recorded yet; what was held back is in any window.
    """

    __tablename__ = "digest_window"
    __table_args__ = (Index("ix_digest_window", "subscriber", "until"),)

    id: int | None = _id()
    subscriber: str
    since: datetime = Field(sa_type=UTCDateTime)
    until: datetime = Field(sa_type=UTCDateTime)
    local: str
    stories: int
    channels: list[str] = Field(default_factory=list, sa_type=JSON)
    topics: list[str] | None = Field(default=None, sa_type=JSON)


class Preference(SQLModel, table=True):
    """What a subscriber set, laid over the YAML: one row for each change, and `current` the latest about a thing.

    `key` says what it is about (`preferences.KEYS`), with `topic` a name, or `*` for everything, where it is a topic.
    An empty `setting` takes back what was set before; `off` and `pause` hold until they are taken back, or `until` a
    time. `by` is how it was set: which link, or an operator.
    """

    __table_args__ = (
        Index(
            "ix_preference_current",
            "subscriber",
            "key",
            "topic",
            unique=True,
            sqlite_where=text("current"),
            postgresql_where=text("current"),
        ),
    )

    id: int | None = _id()
    subscriber: str
    key: str
    topic: str = ""
    setting: str
    until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    set_at: datetime = Field(sa_type=UTCDateTime)
    by: str = ""
    current: bool = True


class SignUp(SQLModel, table=True):
    """One who asked by the sign-up page for public `topics`, and is a subscriber called `name` since `confirmed_at`.

    `often` is alert, daily or weekly. `address` is theirs; `mailed_at` is when a mail was last sent to it because
    somebody asked by the page, and `mails` how many were that day.
    """

    __tablename__ = "sign_up"

    name: str = Field(primary_key=True)
    address: str = Field(unique=True)
    topics: list[str] = Field(default_factory=list, sa_type=JSON)
    often: str
    language: str
    asked_at: datetime = Field(sa_type=UTCDateTime)
    confirmed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    mailed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    mails: int = 0


class Silence(SQLModel, table=True):
    """The operators want no alerts about a topic from `since` until `until`, or until it was lifted before that."""

    id: int | None = _id()
    topic: str = Field(index=True)
    since: datetime = Field(sa_type=UTCDateTime)
    until: datetime = Field(sa_type=UTCDateTime, index=True)
    lifted_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    why: str = ""


class Policy(SQLModel, table=True):
    """Who followed what by which rules, from `since` on until the next row: what `not subscribed` is worked out from.

    `version` is a hash of the rest. `rules` maps each topic to its rule's version, `topics` each enabled subscriber to
    the topics of its subscriptions.
    """

    id: int | None = _id()
    version: str
    since: datetime = Field(sa_type=UTCDateTime)
    rules: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    topics: dict[str, list[str]] = Field(default_factory=dict, sa_type=JSON)


class Audit(SQLModel, table=True):
    """One run of the audit over what happened since `since`: how much was checked, and the first `findings`."""

    id: int | None = _id()
    at: datetime = Field(sa_type=UTCDateTime)
    since: datetime = Field(sa_type=UTCDateTime)
    matches: int
    decisions: int
    deliveries: int
    wrong: int
    findings: list[str] = Field(default_factory=list, sa_type=JSON)

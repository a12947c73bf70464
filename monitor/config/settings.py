"""monitor.yaml as frozen objects. Durations are seconds, sizes bytes; the descriptions go into the JSON Schema."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, model_validator

from monitor.config.base import Part
from monitor.config.types import (
    Channel,
    Database,
    Duration,
    Line,
    Listed,
    Mailbox,
    Named,
    Network,
    OffOr,
    RateOrOff,
    RateValue,
    Secret,
    Size,
    TimeOfDay,
    WebAddress,
    Zone,
    no_less,
    no_more,
)
from monitor.config.values import Rate, wrong

HOUR, DAY = 3600.0, 86400.0
Port = Annotated[int, Field(ge=0, le=65535)]
Few = Annotated[int, Field(ge=1, le=100)]


class Web(Part):
    """The web server: pages, JSON, metrics."""

    host: Line = Field("127.0.0.1", description="The address to listen on. Off loopback a token is demanded.")
    port: Port = Field(8080, description="The port to listen on; 0 takes any free one.")
    token: Secret | None = Field(None, description="What a visitor must present. Give it as ${MONITOR_TOKEN}.")
    user_header: Line | None = Field(
        None, description="The header in which a reverse proxy that asks who its visitors are names them."
    )
    proxies: Listed[Network] = Field(
        ("127.0.0.0/8", "::1/128"),
        description="The addresses of that proxy; nobody else's `user_header` is believed.",
        json_schema_extra={"default": ["127.0.0.0/8", "::1/128"]},
    )


class FetchSettings(Part):
    """How addresses are fetched."""

    user_agent: Line | None = Field(
        None, description="How the program names itself to web servers. Without it: its name, version and public_url."
    )
    timeout: Annotated[Duration, no_less(0.1, "0.1s"), no_more(600, "10m")] = Field(
        20.0, description="The time that a whole answer may take.", json_schema_extra={"default": "20s"}
    )
    max_bytes: Annotated[Size, no_less(1000, "1KB"), no_more(10**9, "1GB")] = Field(
        10_000_000, description="The size that an answer may have, unpacked.", json_schema_extra={"default": "10MB"}
    )
    allow_private: Listed[Network] = Field(
        (), description="Private addresses and networks that may be fetched from; all others are refused."
    )
    per_host: Few = Field(1, description="How many requests one host gets at the same time.")
    per_host_gap: Annotated[Duration, no_more(600, "10m")] = Field(
        1.0, description="The pause between two requests to one host.", json_schema_extra={"default": "1s"}
    )
    own_hosts: Listed[Line] = Field(
        (),
        description="Hosts of your own (an RSSHub) whose 429 or 503 is about one feed, not about their whole domain.",
    )


class Polling(Part):
    """The bounds of the adaptive interval between two polls of a feed."""

    min: Annotated[Duration, no_less(1, "1s")] = Field(
        300.0, description="The shortest interval.", json_schema_extra={"default": "5m"}
    )
    max: Annotated[Duration, no_less(1, "1s")] = Field(
        2 * HOUR, description="The longest interval.", json_schema_extra={"default": "2h"}
    )
    websub: bool = Field(
        True, description="Whether the hubs of feeds that have one are asked to push, where public_url is a public one."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Polling:
        if self.max < self.min:
            raise wrong("is shorter than `min`", "write a longer one", key="max")
        return self


class EventSettings(Part):
    """How stories of several outlets about one happening are put together."""

    window: Annotated[Duration, no_less(60, "1m")] = Field(
        3 * DAY, description="How far apart the stories of one event may be.", json_schema_extra={"default": "3d"}
    )


class OldStories(Part):
    """What is done with a story first seen long after its claimed time; one without a credible date is not old."""

    after: Annotated[Duration, no_less(60, "1m")] = Field(
        7 * DAY, description="From what age on a story is old.", json_schema_extra={"default": "7d"}
    )
    then: Literal["alert", "digest", "drop"] = Field(
        "digest", description="alert: as any other; digest: only in digests; drop: not told."
    )


class Retention(Part):
    """How long things are kept."""

    stories: Annotated[Duration, no_less(DAY, "1d")] = Field(
        90 * DAY, description="How long stories are kept.", json_schema_extra={"default": "90d"}
    )
    deliveries: Annotated[Duration, no_less(DAY, "1d")] = Field(
        400 * DAY, description="How long the record of messages is kept.", json_schema_extra={"default": "400d"}
    )


class SignUps(Part):
    """The page where anybody subscribes to topics that are `public`, and those who did."""

    via: Channel = Field(
        description="A mail address, or a channel of monitor.yaml with one: each is sent mail by its server."
    )
    open: bool = Field(True, description="false: nobody new signs up; those who did go on.")
    at: TimeOfDay = Field("07:00", description="When their digests go out, unless they choose otherwise.")
    at_most: RateValue = Field(
        Rate(60, HOUR),
        description="How many may ask in all; each network address a tenth of it.",
        json_schema_extra={"default": "60/h"},
    )


class Settings(Part):
    """monitor.yaml: every key is optional."""

    site: Line = Field("News Monitor", description="The name shown in mails and pages.")
    public_url: WebAddress = Field("http://127.0.0.1:8080", description="What links in mails start with.")
    database_url: Database = Field(
        "sqlite:///monitor.db",
        description="The database: SQLite, relative to the data folder, or postgresql+psycopg://….",
        repr=False,  # it may hold a password
    )
    secret_key: Secret | None = Field(
        None, description="What links are signed with. Made, and kept in the data folder, when absent."
    )
    timezone: Zone = Field("UTC", description="The time zone of pages, and of subscribers that name none.")
    mail_from: Mailbox = Field("", description="The sender of mails: an address, or a name and an address in < >.")
    operators: Listed[Channel] = Field(
        (), description="Who hears of broken feeds, bad configuration and dead deliveries: addresses or channel names."
    )
    web: OffOr[Web] = Field(
        default_factory=Web, description="The web server, or `off`.", json_schema_extra={"default": {}}
    )
    fetch: FetchSettings = Field(default_factory=FetchSettings, description="Limits and politeness of fetching.")
    polling: Polling = Field(default_factory=Polling, description="How often feeds without `every` are polled.")
    events: OffOr[EventSettings] = Field(
        default_factory=EventSettings,
        description="Events of several stories; `off` keeps every story its own event.",
        json_schema_extra={"default": {}},
    )
    old_stories: OldStories = Field(default_factory=OldStories, description="Stories that come late.")
    budget: RateOrOff = Field(
        Rate(2000, HOUR),
        description="Messages of the whole daemon; beyond it they are held and the operators told. `off` for none.",
        json_schema_extra={"default": "2000/h"},
    )
    on_unknown: Literal["resend", "hold"] = Field(
        "resend",
        description="What is done with a message that may have arrived, where a repeat cannot be told (all but mail): "
        "resend it, or hold it for a person to decide.",
    )
    sign_up: OffOr[SignUps] = Field(
        None, description="Whether people subscribe to public topics by a page of their own, and how they get mail."
    )
    retention: Retention = Field(default_factory=Retention, description="When old rows are deleted.")
    channels: Named[Channel] = Field(
        default_factory=lambda: MappingProxyType({}),
        description="Named Apprise addresses, for `operators` and the subscribers' `channels`.",
    )

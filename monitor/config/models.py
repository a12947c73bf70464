"""Feeds, entities, topics and subscribers as frozen objects. Durations are seconds.

`name` is a thing's key in the file; `title` is what people read, which YAML calls `name` where the thing is a person
or the like. The fields' descriptions go into the JSON Schema.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema
from pydantic_core import CoreSchema

from monitor.config import addresses
from monitor.config.base import KEY, Part
from monitor.config.types import (
    AnyLine,
    AnyText,
    Channel,
    ChannelName,
    Country,
    Days,
    Digested,
    Duration,
    EntityName,
    FeedName,
    Language,
    Line,
    Listed,
    Named,
    OffOr,
    RateOrOff,
    Text,
    TimeOfDay,
    Topics,
    Updates,
    WebAddress,
    YouTubeId,
    Zone,
    no_less,
    no_more,
)
from monitor.config.values import Rate, wrong

Severity = Literal["low", "normal", "high", "critical"]
EVERY_DAY = frozenset(range(7))


def _own_name(data: dict[str, Any]) -> str:
    name: str = data["name"]
    return name


class Feed(Part):
    """One polled address. Exactly one of `url`, `google_news`, `gdelt`, `youtube` and `sitemap` says which."""

    name: SkipJsonSchema[str] = Field(alias=KEY)
    url: WebAddress | None = Field(None, description="The address of an RSS, Atom or JSON feed, or of a page with one.")
    google_news: Line | None = Field(None, description="A search of Google News, in `language` and `country`.")
    gdelt: Line | None = Field(None, description="A search of GDELT's DOC API.")
    youtube: YouTubeId | None = Field(None, description="The id of a YouTube channel (UC…) or playlist (PL…).")
    sitemap: WebAddress | None = Field(None, description="The address of a news sitemap, or of an index of them.")
    source: Line = Field(default_factory=_own_name, description="The publisher's name. Without it: the feed's own.")
    every: Annotated[Duration, no_less(1, "1s")] | None = Field(
        None, description="A fixed interval between polls, from 1s on. Without it the interval adapts."
    )
    min: Annotated[Duration, no_less(1, "1s")] | None = Field(
        None, description="The shortest interval of this feed, where it adapts. Without it: `polling`'s."
    )
    max: Annotated[Duration, no_less(1, "1s")] | None = Field(
        None, description="The longest interval of this feed, where it adapts. Without it: `polling`'s."
    )
    language: Language = Field("", description="The language of its stories, such as en.")
    country: Country = Field("", description="The publisher's country: two letters, such as GB.")
    tags: Listed[Line] = Field((), description="Words for `scope: {tags: …}` of topics and `tag:` in queries.")
    full_text: Literal["never", "when_short", "always"] = Field(
        "never", description="Whether the article's page is fetched and topics matched on its text."
    )
    weight: Annotated[float, Field(ge=0, le=100)] = Field(
        1.0, description="How well regarded its source is: the earliest story of the weightiest leads an event."
    )
    first_poll: Literal["baseline", "alert"] = Field(
        "baseline", description="baseline: the stories of the first poll raise no alert; alert: they do."
    )
    enabled: bool = Field(True, description="false: the feed is not polled.")

    @model_validator(mode="after")
    def _bounded(self) -> Feed:
        for key in ("min", "max"):
            if self.every is not None and getattr(self, key) is not None:
                raise wrong("is a bound for an interval that `every` fixes", "remove one of the two", key=key)
        if self.min is not None and self.max is not None and self.max < self.min:
            raise wrong("is shorter than `min`", "write a longer one", key="max")
        return self

    @property
    def address(self) -> str:
        """What is polled."""
        if self.google_news is not None:
            return addresses.google_news(self.google_news, self.language, self.country)
        if self.gdelt is not None:
            return addresses.gdelt(self.gdelt)
        if self.youtube is not None:
            return addresses.youtube(self.youtube)
        return self.sitemap or self.url or ""

    @property
    def of_many(self) -> bool:
        """Whether it is a search, whose stories are other publishers'."""
        return self.google_news is not None or self.gdelt is not None


class Entity(Part):
    """A person, organisation, place, vessel … that queries name as @name."""

    name: SkipJsonSchema[str] = Field(alias=KEY)
    title: Line = Field(default_factory=_own_name, alias="name", description="The usual name, itself an alias.")
    kind: Literal["person", "organisation", "place", "vessel", "other"] = Field("other", description="What it is.")
    aliases: Listed[Line] = Field((), description="Other names, in any script.")
    inflected: bool = Field(False, description="Also inflected forms, in languages that inflect names.")
    weak: Listed[Line] = Field((), description="Aliases that count only with a `context` word in the same story.")
    context: Listed[Line] = Field((), description="Words that make `weak` aliases count.")


class EntityList(Part):
    """Many entities under one name, which queries name as @name: written by hand or imported."""

    name: SkipJsonSchema[str] = Field(alias=KEY)
    file: Line | None = Field(None, description="A sanctions list to read. Not read by this version.")
    format: Literal["un", "ofac", "opensanctions", "csv"] | None = Field(None, description="What the file is.")
    entities: Listed[EntityName] = Field((), description="Entities declared under `entities:`.")


class Group(Part):
    """One group of `all`: any of its words. A lone text is a group of one."""

    any: Listed[Text] = Field(description="Words, phrases or queries, one of which must match.")

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, value: Any) -> Any:
        return {"any": [value]} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Also allow the lone text."""
        return {"anyOf": [{"type": "string"}, handler.resolve_ref_schema(handler(core))]}


class Scope(Part):
    """Which stories a topic looks at; without a key, all of them."""

    languages: Listed[Language] = Field((), description="Only stories in these languages.")
    tags: Listed[Line] = Field((), description="Only stories of feeds with one of these tags.")
    feeds: Listed[FeedName] = Field((), description="Only stories of these feeds.")


class Example(Part):
    """A story to try a topic on: a title, or a mapping of what `monitor match` takes."""

    title: AnyLine = Field("", description="Its headline.")
    summary: AnyText = Field("", description="Its summary.")
    text: AnyText = Field("", description="Its body.")
    language: Language = Field("", description="Its language.")
    source: AnyLine = Field("", description="Its publisher.")
    feed: AnyLine = Field("", description="The feed it comes from.")
    tags: Listed[Line] = Field((), description="The tags of that feed.")
    url: AnyLine = Field("", description="Its address.")
    author: AnyLine = Field("", description="Who wrote it.")
    country: Country = Field("", description="Its publisher's country.")

    @model_validator(mode="before")
    @classmethod
    def _title_alone(cls, value: Any) -> Any:
        return {"title": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Also allow the title alone."""
        return {"anyOf": [{"type": "string"}, handler.resolve_ref_schema(handler(core))]}


class Examples(Part):
    """Stories that `monitor check` tries the topic on."""

    match: Listed[Example] = Field((), description="Stories that must match.")
    no_match: Listed[Example] = Field((), description="Stories that must not match.")


class Escalate(Part):
    """What happens to alerts of a critical topic that nobody acknowledges."""

    after: Annotated[Duration, no_less(1, "1s"), no_more(86400, "1d")] = Field(
        description="How long an alert waits to be acknowledged, at each step."
    )
    to: Listed[Channel] = Field(
        description="Where it goes then: Apprise addresses, or channels of monitor.yaml, one after the other."
    )

    @model_validator(mode="after")
    def _somewhere(self) -> Escalate:
        if not self.to:
            raise wrong("names no channel", "write one that `channels:` of monitor.yaml declares", key="to")
        return self


class Spike(Part):
    """When a topic's day is out of the ordinary."""

    times: Annotated[float, Field(ge=1, le=1000)] = Field(3.0, description="How many times as many stories as usual.")
    at_least: Annotated[int, Field(ge=1, le=1_000_000)] = Field(10, description="And so many stories at least.")


class Topic(Part):
    """What one follows. `query` and the lists say what matches; a topic with both needs both to hold."""

    name: SkipJsonSchema[str] = Field(alias=KEY)
    title: Line = Field(default_factory=_own_name, description="The name shown to subscribers.")
    query: Text | None = Field(None, description="A query in the query language.")
    any: Listed[Text] = Field((), description="Words, phrases or queries, one of which must match.")
    all: Listed[Group] = Field((), description="Groups, each of which must match.")
    none: Listed[Text] = Field((), description="Words, phrases or queries, none of which may match.")
    near: Annotated[int, Field(ge=0, le=100)] | None = Field(
        None, description="The groups of `all` must be found with at most so many words between them."
    )
    severity: Severity = Field("normal", description="How urgent it is; quiet hours may let the higher ones through.")
    escalate: OffOr[Escalate] = Field(
        None, description="Where its alerts go when nobody acknowledges them; for critical topics only."
    )
    scope: Scope = Field(default_factory=Scope, description="Which stories it looks at.")
    examples: Examples = Field(default_factory=Examples, description="Stories that it is tried on.")
    spike: OffOr[Spike] = Field(None, description="One alert of its own on a day with many more stories than usual.")
    quiet: Annotated[Duration, no_less(3600, "1h"), no_more(90 * 86400, "90d")] | None = Field(
        None, description="One alert of its own when nothing matched for so long."
    )
    public: bool = Field(False, description="Whether its page and Atom feed are shown without a token.")


class QuietHours(Part):
    """A time of the day in which alerts are held; they are sent at its end."""

    start: TimeOfDay = Field(alias="from", description="When it begins, in the subscriber's time zone.")
    end: TimeOfDay = Field(alias="to", description="When it ends; an earlier time than `from` is on the next day.")
    days: Days = Field(EVERY_DAY, description="The days on which it begins.", json_schema_extra={"default": "mon-sun"})
    except_severity: Severity | None = Field(
        None, alias="except", description="Topics of this severity and above are not held."
    )

    @model_validator(mode="after")
    def _not_empty(self) -> QuietHours:
        if self.start == self.end:
            raise wrong("is the same time as `from`", "write another one, or remove `quiet_hours`", key="to")
        return self


class DigestSchedule(Part):
    """When a subscriber's digest goes out, and by what."""

    at: Listed[TimeOfDay] = Field(description="Times of day, in the subscriber's time zone.")
    days: Days = Field(EVERY_DAY, description="The days.", json_schema_extra={"default": "mon-sun"})
    via: Listed[ChannelName] = Field((), description="Names of the subscriber's channels. Without it: all of them.")
    empty: Literal["skip", "send"] = Field("skip", description="What is done when there is nothing to tell.")

    @model_validator(mode="after")
    def _some_time(self) -> DigestSchedule:
        if not self.at:
            raise wrong("names no time", 'write `["07:00"]`', key="at")
        return self


class AlertPolicy(Part):
    """How a subscription's alerts go out."""

    via: Listed[ChannelName] = Field((), description="Names of the subscriber's channels. Without it: all of them.")
    wait: Annotated[Duration, no_more(86400, "1d")] = Field(
        0.0,
        description="What comes within this time goes into one message; 0s: at once.",
        json_schema_extra={"default": "0s"},
    )
    each: Literal["event", "story"] = Field("event", description="One alert for each event, or for every story.")
    updates: Updates = Field(
        "none", description="When an event is told again: none, material, or {sources: 5}: at so many outlets."
    )
    at_most: RateOrOff = Field(
        Rate(20, 3600.0),
        description="The limit; what it holds back goes into the next digest or one summary. `off` lifts it.",
        json_schema_extra={"default": "20/h"},
    )


class Subscription(Part):
    """Topics for a subscriber: as alerts at once, in the digest, or both."""

    topics: Topics = Field(description="Names of topics, or `all`.")
    alert: OffOr[AlertPolicy] = Field(None, description="How alerts go out. Without it there are none.")
    digest: Digested = Field(
        False, description="Whether the topics are in the subscriber's digest; weekly: in one a week."
    )


class Subscriber(Part):
    """A person or team that is told."""

    name: SkipJsonSchema[str] = Field(alias=KEY)
    title: Line = Field(default_factory=_own_name, alias="name", description="The name shown in messages.")
    enabled: bool = Field(True, description="false: nothing is sent, and unset variables are no mistake.")
    timezone: Zone = Field("UTC", description="The time zone of its hours. Without it: that of monitor.yaml.")
    language: Language = Field("en", description="The language of the messages' fixed words.")
    channels: Named[Channel] = Field(
        default_factory=lambda: MappingProxyType({}),
        description="How it is reached: Apprise addresses, or channels of monitor.yaml, under names of its own.",
    )
    quiet_hours: OffOr[QuietHours] = Field(None, description="When alerts are held.")
    digest: OffOr[DigestSchedule] = Field(None, description="When digests go out.")
    subscriptions: Listed[Subscription] = Field((), description="What it is told.")


class FeedsFile(Part):
    """feeds.yaml."""

    feeds: Named[Feed] = Field(description="The feeds, by name.")


class EntitiesFile(Part):
    """entities.yaml."""

    entities: Named[Entity] = Field(default_factory=lambda: MappingProxyType({}), description="The entities, by name.")
    lists: Named[EntityList] = Field(default_factory=lambda: MappingProxyType({}), description="The lists, by name.")


class TopicsFile(Part):
    """topics.yaml."""

    macros: Named[Text] = Field(
        default_factory=lambda: MappingProxyType({}), description="Named queries, for use in others as $name."
    )
    topics: Named[Topic] = Field(description="The topics, by name.")


class SubscribersFile(Part):
    """subscribers.yaml."""

    subscribers: Named[Subscriber] = Field(description="The subscribers, by name.")

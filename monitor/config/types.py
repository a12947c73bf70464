"""The types of the models' fields: how a value is read from YAML, and what the JSON Schema says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, GetJsonSchemaHandler, SecretStr, ValidationInfo, WithJsonSchema
from pydantic_core import CoreSchema

from monitor.config.addresses import youtube_id
from monitor.config.closest import closest, did_you_mean
from monitor.config.values import (
    ALL,
    Rate,
    all_or_list,
    as_list,
    as_mapping,
    channel,
    country,
    database,
    days,
    digested,
    duration,
    language,
    line,
    mailbox,
    network,
    off,
    quote,
    rate,
    secret,
    size,
    text,
    time_of_day,
    updates,
    web_address,
    wrong,
    zone,
)

T = TypeVar("T")


def no_less(least: float, shown: str) -> AfterValidator:
    """Refuse numbers below `least`, which is written `shown`."""

    def check(value: float) -> float:
        if value < least:
            raise wrong(f"is less than {shown}", f"write {shown} or more")
        return value

    return AfterValidator(check)


def no_more(most: float, shown: str) -> AfterValidator:
    """Refuse numbers above `most`, which is written `shown`."""

    def check(value: float) -> float:
        if value > most:
            raise wrong(f"is more than {shown}", f"write {shown} or less")
        return value

    return AfterValidator(check)


def reference(kind: str, noun: str, where: str) -> AfterValidator:
    """Refuse a name that the validation's context does not list under `kind`; code that makes models has no context."""

    def check(value: str, info: ValidationInfo) -> str:
        known = (info.context or {}).get(kind)
        if known is None or value in known or value == ALL:
            return value
        near = closest(value, known)
        fix = f"write `{near}`, or declare {quote(value)} {where}" if near else f"declare {quote(value)} {where}"
        raise wrong(f"unknown {noun} {{}}{did_you_mean(near)}", fix, value)

    return AfterValidator(check)


def _of(read: Callable[[object], object], **schema: Any) -> tuple[BeforeValidator, WithJsonSchema]:
    return BeforeValidator(read), WithJsonSchema(schema)


_DURATION = {"type": "string", "pattern": r"^\d+(\.\d+)?[smhd]$|^\$\{", "examples": ["30s", "5m", "2h", "7d"]}
_RATE = {"type": "string", "pattern": r"^[1-9]\d*/[smhd]$|^\$\{", "examples": ["6/h", "20/d"]}
_ADDRESS = {"type": "string", "examples": ["https://example.org/feed.xml"]}
_CHANNEL = {
    "type": "string",
    "examples": ["mailto://user:${PASSWORD}@mail.example?to=ruth@corvid.example", "desk-slack"],
}
_DAY = {"type": "string", "pattern": r"^(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?$"}

Line = Annotated[str, *_of(line, type="string")]
Text = Annotated[str, *_of(text, type="string")]
AnyLine = Annotated[str, *_of(lambda value: value if value == "" else line(value), type="string")]
AnyText = Annotated[str, *_of(lambda value: value if value == "" else text(value), type="string")]
Duration = Annotated[float, *_of(duration, **_DURATION)]
Size = Annotated[int, *_of(size, type="string", pattern=r"^\d+[KMG]?i?B$|^\$\{", examples=["10MB"])]
RateValue = Annotated[Rate, *_of(rate, **_RATE)]
RateOrOff = Annotated[
    Rate | None,
    BeforeValidator(lambda value: None if off(value) is None else rate(value)),
    WithJsonSchema({"anyOf": [_RATE, {"const": "off"}]}),
]
TimeOfDay = Annotated[str, *_of(time_of_day, type="string", pattern=r"^\d{1,2}:\d{2}$|^\$\{", examples=["07:00"])]
Digested = Annotated[bool | Literal["weekly"], *_of(digested, anyOf=[{"type": "boolean"}, {"const": "weekly"}])]
Days = Annotated[frozenset[int], *_of(days, anyOf=[_DAY, {"type": "array", "items": _DAY}])]
Zone = Annotated[str, *_of(zone, type="string", examples=["Europe/London"])]
Language = Annotated[str, *_of(language, type="string", examples=["en"])]
Country = Annotated[str, *_of(country, type="string", examples=["GB"])]
WebAddress = Annotated[str, *_of(web_address, **_ADDRESS)]
YouTubeId = Annotated[
    str, *_of(youtube_id, type="string", examples=["UC16niRr50-MSBwiO3YDb3RA", "PL590L5WQmH8dpP0RyH5pCfIaDEdt9nk7r"])
]
Mailbox = Annotated[str, *_of(mailbox, type="string", examples=["News desk <news@example.org>"])]
Network = Annotated[str, *_of(network, type="string", examples=["127.0.0.1", "10.0.0.0/8"])]
Database = Annotated[str, *_of(database, type="string", examples=["sqlite:///monitor.db"])]
Secret = Annotated[SecretStr, *_of(secret, type="string", examples=["${MONITOR_SECRET_KEY}"])]
Channel = Annotated[SecretStr, *_of(channel, **_CHANNEL)]
Updates = Annotated[
    Literal["none", "material"] | int,
    *_of(
        updates,
        anyOf=[
            {"enum": ["none", "material"]},
            {"type": "object", "properties": {"sources": {"type": "integer", "minimum": 1}}, "required": ["sources"]},
        ],
    ),
]


class _OffSchema:
    """Says in the JSON Schema that `off` stands where Python has None."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        schema["anyOf"] = [{"const": "off"} if part == {"type": "null"} else part for part in schema["anyOf"]]
        return schema


OffOr = Annotated[T | None, BeforeValidator(off), _OffSchema()]
Listed = Annotated[tuple[T, ...], BeforeValidator(as_list)]
Named = Annotated[Mapping[str, T], BeforeValidator(as_mapping), AfterValidator(MappingProxyType)]
FeedName = Annotated[Line, reference("feeds", "feed", "under `feeds:`")]
EntityName = Annotated[Line, reference("entities", "entity", "under `entities:`")]
TopicName = Annotated[Line, reference("topics", "topic", "under `topics:`")]
ChannelName = Annotated[Line, reference("via", "channel", "under this subscriber's `channels:`")]
Topics = Annotated[
    tuple[TopicName, ...],
    BeforeValidator(all_or_list),
    WithJsonSchema({"anyOf": [{"const": "all"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]

"""How single values are written in YAML: durations, sizes, rates, days, times, addresses, languages. Pure.

Each type takes what YAML gives (text, or EMPTY for a key without a value) and also what code gives (the final value),
so that the models can be made directly. A wrong value raises an error that says what to write.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from monitor.config.closest import closest, did_you_mean
from monitor.config.yamlfile import EMPTY

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
LONGEST = 3650 * 86400.0  # ten years in seconds; more is a slip, and dates would overflow
LINE_LIMIT = 500  # characters of a name or title
TEXT_LIMIT = 20_000  # characters of a query or text


def wrong(message: str, fix: str = "", value: object = None, key: str = "") -> PydanticCustomError:
    """Return the error for a wrong value. `value` is the part of `message` that is hidden if it came from a secret;
    `key` is the key to point at within a mapping."""
    shown = quote(value) if value is not None else ""
    return PydanticCustomError(
        "config", "{message}", {"message": message.replace("{}", shown), "fix": fix, "shown": shown, "key": key}
    )


def quote(value: object) -> str:
    """Return `value` as messages show it: on one line, in backquotes, cut at 60 characters."""
    if value is EMPTY:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = " ".join(str(value).split())
    return f"`{text[:59]}…`" if len(text) > 60 else f"`{text}`"


def _text(value: object, kind: str, example: str) -> str:
    """Return `value` if it is text, else raise: `kind` says what belongs here ("a duration")."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    if value is EMPTY or value == "":
        raise wrong(f"has no value; it takes {kind}", f"write {example}, or remove the line")
    raise wrong(f"must be {kind}, not {{}}", f"write {example}", value)


def line(value: object) -> str:
    """One line of text: names, titles."""
    written = " ".join(_text(value, "text", "text").split())
    if len(written) > LINE_LIMIT:
        raise wrong(f"is longer than {LINE_LIMIT} characters", "is a quote or an indentation missing?")
    return written


def text(value: object) -> str:
    """Text of any length up to TEXT_LIMIT characters, kept as written, so that offsets into it stay true."""
    if isinstance(value, dict):
        raise wrong("must be text, not a mapping", "put text that begins with `{` or holds `: ` in quotes")
    _text(value, "text", "text")
    written = str(value)
    if len(written) > TEXT_LIMIT:
        raise wrong(f"is longer than {TEXT_LIMIT:,} characters", "split it")
    return written


def duration(value: object) -> float:
    """`30s 5m 2h 7d` → seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    written = _text(value, "a duration", "one such as `30s`, `5m`, `2h` or `7d`")
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])", written)
    if match is None:
        raise wrong("{} is not a duration", _duration_fix(written), written)
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > LONGEST:
        raise wrong("{} is longer than ten years", "write a shorter one", written)
    return seconds


def _duration_fix(written: str) -> str:
    near = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*([a-zA-Z]*)", written)
    if near and not near[2]:
        return f"add the unit: `{near[1]}s`, `{near[1]}m`, `{near[1]}h` or `{near[1]}d`"
    if near and near[2][0].lower() in _UNITS and not near[2].lower().startswith(("mo", "ms")):
        return f"write `{near[1]}{near[2][0].lower()}`"
    return "write a number and a unit without a blank, such as `30s`, `5m`, `2h` or `7d`"


def size(value: object) -> int:
    """`10MB` → bytes; KB, MB, GB count in thousands, KiB, MiB, GiB in 1024s."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    written = _text(value, "a size", "one such as `512KB` or `10MB`")
    match = re.fullmatch(r"(\d{1,9})(B|[KMG]i?B)", written, re.IGNORECASE)
    if match is None:
        near = re.fullmatch(r"(\d{1,9})\s*([KMG]?)(i?B)?", written, re.IGNORECASE)
        example = f"`{near[1]}{near[2].upper() or 'M'}B`" if near else "a number and a unit, such as `512KB` or `10MB`"
        raise wrong("{} is not a size", f"write {example}", written)
    return int(match[1]) * _SIZES[match[2].upper()]


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` within `per` seconds."""

    count: int
    per: float


def rate(value: object) -> Rate:
    """`6/h`, `20/d` → Rate."""
    if isinstance(value, Rate):
        return value
    written = _text(value, "a rate", "one such as `6/h` or `20/d`")
    match = re.fullmatch(r"([1-9]\d{0,8})/([smhd])", written)
    if match is None:
        near = re.fullmatch(r"([1-9]\d{0,8})\s*/\s*([smhd])[a-z]*", written, re.IGNORECASE)
        example = f"`{near[1]}/{near[2].lower()}`" if near else "a number, `/` and s, m, h or d, such as `6/h`"
        raise wrong("{} is not a rate", f"write {example}", written)
    return Rate(int(match[1]), _UNITS[match[2]])


def time_of_day(value: object) -> str:
    """`"07:00"` → the same, always two digits each."""
    written = _text(value, "a time of day", '`"07:00"`')
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", written)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise wrong("{} is not a time of day", _time_fix(written), written)
    return f"{int(match[1]):02}:{match[2]}"


def _time_fix(written: str) -> str:
    near = re.fullmatch(r"(\d{1,2})(?:[:.h](\d{2}))?\s*([ap]m)?", written.lower())
    if near:
        hour = int(near[1]) % 12 + 12 * (near[3] == "pm") if near[3] else int(near[1]) % 24
        if hour < 24 and int(near[2] or 0) < 60 and (near[3] is None or int(near[1]) <= 12) and int(near[1]) <= 24:
            return f'write `"{hour:02}:{near[2] or "00"}"`'
    return 'write hours 00 to 23 and minutes, in quotes: `"07:00"`'


def days(value: object) -> frozenset[int]:
    """`mon-fri`, `sat` or `[mon, thu]` → days of the week, 0 = Monday."""
    if isinstance(value, set | frozenset):
        return frozenset(value)
    if isinstance(value, list | tuple):
        if not value:
            raise wrong("names no day", "write `mon-sun` for every day, or `[mon, thu]`")
        return frozenset().union(*(days(part) for part in value if not isinstance(part, list | tuple)))
    written = _text(value, "days", "`mon-fri` or `[mon, thu]`")
    first, dash, last = written.lower().partition("-")
    for name in (first, last) if dash else (first,):
        if name not in WEEK:
            near = name[:3] if name[:3] in WEEK else ""
            fixed = (near + dash + (last if last in WEEK else last[:3])) if near and name == first else ""
            raise wrong("{} is not a day or a range of days", _days_fix(written, fixed), written)
    start, end = WEEK.index(first), WEEK.index(last or first)
    return frozenset(n % 7 for n in range(start, (end if end >= start else end + 7) + 1))


def _days_fix(written: str, fixed: str) -> str:
    if "," in written:
        return f"write `[{written}]`: several days are a list"
    return f"write `{fixed}`" if fixed else "the days are mon, tue, wed, thu, fri, sat, sun; a range is `mon-fri`"


def digested(value: object) -> object:
    """`true`, `false` or `weekly`."""
    if isinstance(value, bool):
        return value
    written = _text(value, "true, false or weekly", "`true`").lower()
    if written == "weekly":
        return written
    if written not in ("true", "false", "yes", "no", "on", "off"):
        raise wrong("must be true, false or weekly, not {}", "write `true` for each digest, or `weekly`", value)
    return written in ("true", "yes", "on")


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def zone(value: object) -> str:
    """A name of the time zone database, such as `Europe/London`."""
    written = _text(value, "a time zone", "one such as `Europe/London`")
    try:
        ZoneInfo(written)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of the database ("Europe")
        city = written.rpartition("/")[2].casefold().replace(" ", "_")
        same = sorted(name for name in _zones() if name.rpartition("/")[2].casefold() == city and "/" in name)
        cities = {name.rpartition("/")[2]: name for name in sorted(_zones())}
        near = same[0] if same else closest(written, sorted(_zones())) or cities.get(closest(city, cities), "")
        fix = f"write `{near}`" if near else "write a name such as `Europe/London`, `America/New_York` or `UTC`"
        raise wrong(f"unknown time zone {{}}{did_you_mean(near)}", fix, written) from None
    return written


def language(value: object) -> str:
    """A language tag such as `en` or `pt-BR`, in small letters; or empty."""
    if value == "":
        return ""
    written = _text(value, "a language", "its code, such as `en`")
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", written):
        raise wrong("{} is not a language code", "write two letters, such as `en`, `es` or `ar`", written)
    return written.lower()


def country(value: object) -> str:
    """Two letters of ISO 3166, in capitals; or empty."""
    if value == "":
        return ""
    written = _text(value, "a country", "its code, such as `GB`")
    if not re.fullmatch(r"[A-Za-z]{2}", written):
        raise wrong("{} is not a country code", "write two letters, such as `GB`, `NO` or `BR`", written)
    return written.upper()


def web_address(value: object) -> str:
    """An http or https address without user name. Never shown in messages: tokens live in addresses."""
    written = _text(value, "an address", "one such as `https://example.org/feed.xml`")
    if re.search(r"[\s\\\x00-\x20\x7f]", written):
        raise wrong("the address holds a blank or a backslash", "write a blank as `%20`")
    try:
        parts = urlsplit(written)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise wrong("the address has a host or port that cannot be", "check what follows `://`") from None
    if parts.scheme not in ("http", "https"):
        raise wrong("the address does not begin with `http://` or `https://`", "write it in full")
    if not host:
        raise wrong("the address names no host", "write it in full, such as `https://example.org/feed.xml`")
    if "@" in parts.netloc:
        raise wrong("the address holds a user name or password", "remove what stands between `://` and `@`")
    return written


def mailbox(value: object) -> str:
    """A mail address, alone or behind a name: `News desk <news@example.org>`; or empty."""
    if value == "":
        return ""
    written = line(value)
    named = re.fullmatch(r"[^<>]+<([^<>]+)>", written)
    if not re.fullmatch(r"[^\s<>@,()\"]+@[^\s<>@,()\"]+", named[1] if named else written):
        raise wrong("{} is not a mail address", "write `news@example.org` or `News desk <news@example.org>`", written)
    return written


def network(value: object) -> str:
    """An IP address or network."""
    written = _text(value, "an address or network", '`127.0.0.1` or `"10.0.0.0/8"`')
    try:
        ipaddress.ip_network(written)
    except ValueError:
        try:
            fix = f"write `{ipaddress.ip_network(written, strict=False)}`"
        except ValueError:
            fix = 'write one such as `127.0.0.1` or `"10.0.0.0/8"`; names are not taken'
        raise wrong("{} is not an IP address or network", fix, written) from None
    return written


def database(value: object) -> str:
    """`sqlite:///…` or `postgresql+psycopg://…`. Never shown in messages, for its password."""
    written = _text(value, "a database address", "`sqlite:///monitor.db`")
    if re.match(r"postgres(ql)?://", written):
        raise wrong("the database address names no driver", "begin it with `postgresql+psycopg://`")
    if not re.match(r"sqlite:///.|postgresql\+psycopg://.", written):
        fix = "write `sqlite:///monitor.db` (relative to the data folder) or `postgresql+psycopg://…`"
        raise wrong("the database is neither SQLite nor PostgreSQL", fix)
    return written


def secret(value: object) -> SecretStr:
    """A secret text; never shown."""
    return value if isinstance(value, SecretStr) else SecretStr(_text(value, "text", "`${VARIABLE}`"))


def channel(value: object) -> SecretStr:
    """An Apprise address, or the name of one under `channels:`; `load` puts the address in the name's place."""
    return value if isinstance(value, SecretStr) else SecretStr(_text(value, "an Apprise address", "`mailto://…`"))


def off(value: object) -> object:
    """`off` (and `false`, which YAML 1.1 editors make of it) → None."""
    return None if value in ("off", "false") else value


def updates(value: object) -> object:
    """`none`, `material`, or `{sources: 5}` → 5."""
    number = value.get("sources") if isinstance(value, dict) and set(value) == {"sources"} else None
    if isinstance(value, str) and value.startswith("sources:"):
        number = value.removeprefix("sources:").strip()
    if isinstance(number, str) and re.fullmatch(r"[1-9]\d{0,3}", number):
        return int(number)
    if value in ("none", "material") or (isinstance(value, int) and value > 0):
        return value
    raise wrong("{} is not a rule for updates", "write `none`, `material` or `{sources: 5}`", value)


def as_list(value: object) -> object:
    """A list; a key without a value is an empty one."""
    if value is EMPTY:
        return ()
    if isinstance(value, str):
        raise wrong("must be a list, not {}", f"write `[{' '.join(value.split())[:60]}]`", value)
    if isinstance(value, dict):
        raise wrong("must be a list, not a mapping", "begin each item with `- `, or put them in `[ ]`")
    return value


def as_mapping(value: object) -> object:
    """A mapping; a key without a value is an empty one."""
    if value is EMPTY:
        return {}
    if not isinstance(value, Mapping):
        raise wrong("must be a mapping (`name: value` lines), not {}", "indent the names below this key", value)
    return dict(value)


ALL = "*"  # stands for `topics: all` until the topics are known; no name looks like this


def all_or_list(value: object) -> object:
    """`all`, or a list of topics."""
    if isinstance(value, str) and value.lower() == "all":
        return (ALL,)
    return as_list(value)

"""What no single value shows: rules between keys, seen on raw data, so that no mistake hides another. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from monitor.config.closest import closest
from monitor.config.environment import is_off
from monitor.config.yamlfile import EMPTY, Data, KeyPath

Raw = Mapping[str, Data]
SOURCES = ("url", "google_news", "gdelt", "youtube", "sitemap")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S")
_NAME = re.compile(r"\w[\w.-]{0,99}")


class Finding(NamedTuple):
    """Something wrong at a key path. `at_key` points at the key and not at its value."""

    path: KeyPath
    message: str
    fix: str
    at_key: bool = False
    level: Literal["error", "warning"] = "error"


def check(data: Raw, broken: set[str]) -> Iterator[Finding]:
    """Yield what is wrong between the keys of `data`; `broken` are the stems that could not be read in full."""
    channels = _mapping(data.get("channels"))
    known = None if "monitor" in broken else list(channels)
    yield from _names(data)
    yield from _settings(data, known)
    yield from _feeds(_mapping(data.get("feeds")))
    yield from _lists(data)
    tags = None if "feeds" in broken else _tags(_mapping(data.get("feeds")))
    for name, topic in _mapping(data.get("topics")).items():
        if isinstance(topic, dict):
            yield from _topic(("topics", name), topic, tags)
            yield from _escalate(("topics", name), topic, known)
    for name, subscriber in _mapping(data.get("subscribers")).items():
        if isinstance(subscriber, dict):
            yield from _subscriber(("subscribers", name), subscriber, known)


def is_address(text: str) -> bool:
    """Whether `text` is an address (`slack://…`) and not the name of a channel."""
    return _ADDRESS.match(text) is not None


def _mapping(value: Data | None) -> dict[str, Data]:
    return value if isinstance(value, dict) else {}


def _list(value: Data | None) -> list[Data]:
    return value if isinstance(value, list) else []


def _names(data: Raw) -> Iterator[Finding]:
    paths: list[KeyPath] = [
        (key, name)
        for key in ("channels", "feeds", "entities", "lists", "macros", "topics", "subscribers")
        for name in _mapping(data.get(key))
    ]
    for subscriber, raw in _mapping(data.get("subscribers")).items():
        paths += [("subscribers", subscriber, "channels", n) for n in _mapping(_mapping(raw).get("channels"))]
    for path in paths:
        name = str(path[-1])
        if not _NAME.fullmatch(name):
            better = re.sub(r"[^\w.]+", "-", name).strip("-.")[:40].lower()
            fix = "use letters, digits, `-`, `_` and `.`" + (f", such as `{better}`" if better else "")
            yield Finding(path, f"`{name[:60]}` cannot be a name", fix, at_key=True)


def _settings(data: Raw, channels: list[str] | None) -> Iterator[Finding]:
    web = data.get("web")
    if isinstance(web, dict):
        host = web.get("host", "127.0.0.1")
        if isinstance(host, str) and not _is_loopback(host) and not {"token", "user_header"} & web.keys():
            message = "a web server that other machines can reach needs a `token`"
            fix = "write `token: ${MONITOR_TOKEN}` and set that variable, or `host: 127.0.0.1`"
            yield Finding(("web", "host"), message, fix)
    for name, address in _mapping(data.get("channels")).items():
        if isinstance(address, str) and not _ADDRESS.match(address):
            fix = "write one such as `mailto://…` or `slack://…`"
            yield Finding(("channels", name), "is not an Apprise address", fix)
    for index, address in enumerate(_list(data.get("operators"))):
        yield from _channel(("operators", index), address, channels)
    if isinstance(sign_up := data.get("sign_up"), dict):
        yield from _sign_up(data, sign_up, channels)


def _sign_up(data: Raw, sign_up: Raw, channels: list[str] | None) -> Iterator[Finding]:
    via = sign_up.get("via")
    if via is not None:
        yield from _channel(("sign_up", "via"), via, channels)
    address = _mapping(data.get("channels")).get(via, via) if isinstance(via, str) else None
    if isinstance(address, str) and _ADDRESS.match(address) and not address.startswith(("mailto://", "mailtos://")):
        message = "those who sign up are sent mail, and this is no mail address"
        yield Finding(("sign_up", "via"), message, "write one such as `mailtos://user:${PASSWORD}@mail.example`")
    if "via" not in sign_up:
        fix = "write `via:` with the name of a mail channel of `channels:`, or its address"
        yield Finding(("sign_up",), "says by no `via` how those who sign up get mail", fix, at_key=True)
    if is_off(data.get("web")):
        fix = "remove `web: off`, or write `sign_up: off`"
        yield Finding(("sign_up",), "needs the web pages, which are switched off", fix, at_key=True)
    if not any(str(_mapping(topic).get("public")).lower() == "true" for topic in _mapping(data.get("topics")).values()):
        message = "there is no topic that anybody may subscribe to"
        yield Finding(("sign_up",), message, "write `public: true` in a topic", at_key=True, level="warning")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _channel(path: KeyPath, address: Data, channels: list[str] | None) -> Iterator[Finding]:
    """An address or a declared name. Text that is neither may be a secret, so it is shown only when near to a name."""
    if not isinstance(address, str) or _ADDRESS.match(address) or channels is None or address in channels:
        return
    near = closest(address, channels)
    if near:
        yield Finding(path, f"unknown channel `{address[:60]}`: did you mean `{near}`?", f"write `{near}`")
        return
    message = "is neither an Apprise address nor the name of a channel"
    fix = "write an address such as `mailto://…` or `slack://…`, or declare the name under `channels:` in monitor.yaml"
    yield Finding(path, message, fix)


def _feeds(feeds: Raw) -> Iterator[Finding]:
    first: dict[tuple[str, ...], str] = {}
    for name, feed in feeds.items():
        path: KeyPath = ("feeds", name)
        given = [key for key in SOURCES if key in _mapping(feed)]
        if not given and (isinstance(feed, dict) or feed is EMPTY):
            yield Finding(path, f"the feed `{name}` has no `url`", "write `url: https://…`", at_key=True)
        for key in given[1:]:
            message = f"a feed has one address, and `{given[0]}` is given too"
            yield Finding((*path, key), message, "keep one, and make the other a feed of its own", at_key=True)
        if is_off(_mapping(feed).get("enabled")):
            continue
        for key in given[:1]:
            edition = ("language", "country") if key == "google_news" else ()
            asked = (key, *(str(_mapping(feed).get(one, "")) for one in (key, *edition)))
            same = first.setdefault(asked, name)
            if same != name:
                message = f"the feed `{same}` has the same address"
                yield Finding((*path, key), message, "remove one of the two", level="warning")


def _tags(feeds: Raw) -> list[str]:
    found = [tag for feed in feeds.values() for tag in _list(_mapping(feed).get("tags")) if isinstance(tag, str)]
    return list(dict.fromkeys(found))


def _lists(data: Raw) -> Iterator[Finding]:
    entities = _mapping(data.get("entities"))
    for name, raw in _mapping(data.get("lists")).items():
        path: KeyPath = ("lists", name)
        if name in entities:
            message = f"`{name}` is also the name of an entity, so `@{name}` could mean either"
            yield Finding(path, message, "rename one of the two", at_key=True)
        if not isinstance(raw, dict):
            continue
        if "file" in raw and "entities" in raw:
            yield Finding((*path, "entities"), "a list has a `file` or `entities`, not both", "remove one", at_key=True)
        elif "file" in raw and "format" not in raw:
            fix = "write `format: un`, `ofac`, `opensanctions` or `csv`"
            yield Finding((*path, "file"), "the `format` of the file is missing", fix, at_key=True)
        elif "file" not in raw and "entities" not in raw:
            yield Finding(path, f"the list `{name}` has no entities", "write `entities: [name, name]`", at_key=True)


def _topic(path: KeyPath, topic: Raw, tags: list[str] | None) -> Iterator[Finding]:
    name = path[-1]
    given = {key for key in ("query", "any", "all", "none") if topic.get(key) not in (None, EMPTY, [])}
    if not given:
        fix = "write `query:`, or lists under `any:`, `all:` and `none:`"
        yield Finding(path, f"the topic `{name}` says nothing of what it follows", fix, at_key=True)
    elif given == {"none"}:
        fix = "add `any:`, `all:` or `query:`"
        yield Finding((*path, "none"), f"the topic `{name}` says only what it does not follow", fix, at_key=True)
    if "near" in topic and len(_list(topic.get("all"))) < 2:
        fix = "give `all:` at least two groups, or write `NEAR/8` in a query"
        yield Finding((*path, "near"), "`near` says how near the groups of `all` are to one another", fix, at_key=True)
    scope = _mapping(topic.get("scope"))
    for index, tag in enumerate(_list(scope.get("tags"))):
        if tags is not None and isinstance(tag, str) and tag not in tags:
            near = closest(tag, tags)
            asked, fix = (f": did you mean `{near}`?", f"write `{near}`") if near else ("", "give it to a feed")
            where = (*path, "scope", "tags", index)
            yield Finding(where, f"no feed has the tag `{tag[:60]}`{asked}", fix, level="warning")


def _escalate(path: KeyPath, topic: Raw, channels: list[str] | None) -> Iterator[Finding]:
    if "escalate" not in topic or is_off(topic["escalate"]):
        return
    if topic.get("severity") != "critical":
        message = "only alerts of critical topics are escalated"
        yield Finding((*path, "escalate"), message, "write `severity: critical`, or remove `escalate`", at_key=True)
    for index, address in enumerate(_list(_mapping(topic["escalate"]).get("to"))):
        yield from _channel((*path, "escalate", "to", index), address, channels)


def _subscriber(path: KeyPath, subscriber: Raw, channels: list[str] | None) -> Iterator[Finding]:
    name, enabled = path[-1], not is_off(subscriber.get("enabled"))
    own = _mapping(subscriber.get("channels"))
    if enabled and not own and not isinstance(subscriber.get("channels"), str | list):
        fix = 'write `channels: {mail: "mailto://…"}`, or `enabled: false`'
        yield Finding(path, f"the subscriber `{name}` has no `channels`", fix, at_key=True)
    for key, address in own.items():
        yield from _channel((*path, "channels", key), address, channels)
    scheduled = "digest" in subscriber and not is_off(subscriber["digest"])
    for index, raw in enumerate(_list(subscriber.get("subscriptions"))):
        if isinstance(raw, dict):
            yield from _subscription((*path, "subscriptions", index), raw, scheduled=scheduled)


def _subscription(path: KeyPath, raw: Raw, *, scheduled: bool) -> Iterator[Finding]:
    alert = "alert" in raw and not is_off(raw["alert"])
    digest = "digest" in raw and not is_off(raw["digest"])
    if raw.get("topics") in ([], EMPTY):
        yield Finding((*path, "topics"), "the subscription names no topic", "write `topics: all`", at_key=True)
    if not alert and not digest:
        fix = "add `digest: true`, `alert: {}`, or both"
        yield Finding(path, "the subscription has neither `alert` nor `digest`, so nothing would be sent", fix)
    if digest and not scheduled:
        fix = 'add to the subscriber: `digest: {at: ["07:00"]}`'
        yield Finding((*path, "digest"), "the subscriber has no digest times, so this would never be sent", fix)

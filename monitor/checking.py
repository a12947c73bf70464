"""A folder of configuration → rules to run, or everything that is wrong with it, found in one go.

What cannot be read must not make the rest look wrong: a name that stands in an unreadable file, or an entity with a
mistake in it, is replaced by a stand-in, so that the queries that use it are read all the same; and a topic that hangs
on a stand-in is not tried on its examples, since what they would say is not known.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from monitor.app import feeds_to_poll
from monitor.config import Config, DigestSchedule, Draft, Entity, Feed, Places, Topic, in_order, read_config
from monitor.dispatch import per
from monitor.errors import ConfigError, Problem, QueryError
from monitor.hosts import host_gap
from monitor.preferences import differences, offered
from monitor.query import EntityRef, MacroRef, parse, parse_item, walk
from monitor.render import languages, shipped
from monitor.rules import Rules, compile_sound, queries, run_examples, too_common, warnings
from monitor.send import Sender
from monitor.store.archive import story_text
from monitor.store.peek import members, newest_stories, what_is_set
from monitor.timing import next_slot
from monitor.urls import host

SAMPLE, SAMPLE_LEAST = 1_000, 50  # stories of the archive that `check` tries topics on: at most, and at least
SAMPLE_TIME = 2.0  # seconds for that
TOLD_DIFFERENCES = 4  # of one subscriber, that `check` names
_STAND_IN = "unread"  # a query that is no mistake anywhere
_SENDER = "news@unread.example"
_LISTS: Mapping[str, Any] = MappingProxyType({"any": (), "all": (), "none": (), "query": None, "near": None})
_APART = frozenset({"title", "severity", "examples"})  # a topic's keys that do not change what it matches


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and the rules made of it."""

    config: Config
    rules: Rules


@dataclass(frozen=True, slots=True)
class Checked:
    """What `monitor check` found; `ok` when nothing is an error."""

    problems: tuple[Problem, ...]
    topics: int = 0
    examples: int = 0
    feeds: int = 0
    subscribers: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing found is an error."""
        return not any(problem.level == "error" for problem in self.problems)


@dataclass(frozen=True, slots=True)
class _Examined:
    """`problems` of files, channels and queries; `rules` of the topics without one; `unsure` topics, and why not."""

    rules: Rules
    problems: tuple[Problem, ...]
    unsure: frozenset[str]


def load(folder: Path, env: Mapping[str, str], before: Loaded | None = None) -> Loaded:
    """Return the configuration in `folder`, checked whole but for its examples. Raises ConfigError.

    `before` is the one that is running: a file that it was read from, and that is gone now, is an error and no empty
    section, since an editor or a deployment may be about to write it anew. Its rules are taken over where nothing
    changed. Where its values stand in the files is let go of: of 50,000 feeds that is 70 MB, of use to mistakes only.
    """
    draft = read_config(folder, env)
    examined = _examine(draft, before)
    problems = in_order(folder, (*examined.problems, *_vanished(draft.config, before)))
    if any(problem.level == "error" for problem in problems):
        raise ConfigError(problems)
    return Loaded(replace(draft.config, places=Places()), examined.rules)


def check(folder: Path, env: Mapping[str, str], data: Path | None = None) -> Checked:
    """Check everything in `folder` and run every topic's examples, as far as each can be read.

    `data`: the program's data folder; where it has an archive, topics that match too much of it are warned of.
    """
    draft = read_config(folder, env)
    examined = _examine(draft)
    sound = {
        name: topic
        for name, topic in draft.config.topics.items()
        if name in examined.rules and name not in examined.unsure
    }
    tried = replace(draft.config, topics=MappingProxyType(sound))
    warned = (
        *warnings(_sure_of_feeds(draft), examined.rules),
        *_too_common(draft.config, examined.rules, data),
        *_unspoken(draft.config),
        *(() if any(one.level == "error" for one in examined.problems) else _advice(draft.config)),
        *_beyond_budget(draft.config, datetime.now(UTC)),
        *_set_differently(draft.config, data),
    )
    problems = in_order(folder, (*examined.problems, *warned, *run_examples(tried, examined.rules)))
    config = draft.config
    return Checked(
        problems,
        len(config.topics),
        sum(len(t.examples.match) + len(t.examples.no_match) for t in config.topics.values()),
        len(feeds_to_poll(config)),
        sum(s.enabled for s in config.subscribers.values()),
    )


def _too_common(config: Config, rules: Rules, data: Path | None) -> tuple[Problem, ...]:
    """Warn of topics that match too much of the archive's newest stories; says nothing where it has too few."""
    stories = newest_stories(config.settings.database_url, data, SAMPLE) if data is not None else ()
    if len(stories) < SAMPLE_LEAST:
        return ()
    span = stories[0].first_seen_at - stories[-1].first_seen_at
    per_day = len(stories) / max(span / timedelta(days=1), 1)
    until = time.monotonic() + SAMPLE_TIME
    in_time = (story_text(story) for story in stories if time.monotonic() < until)
    return too_common(config, rules, in_time, per_day)


def _unspoken(config: Config) -> Iterator[Problem]:
    """Warn of subscribers in whose language messages have no words."""
    spoken = languages(shipped("templates"))
    for subscriber in config.subscribers.values():
        if subscriber.language and subscriber.language.partition("-")[0] not in spoken:
            place = config.place("subscribers", subscriber.name, "language")
            message = f"messages have no words in `{subscriber.language}`: those to `{subscriber.name}` are in English"
            yield Problem("warning", place.file, place.line, place.column, message, f"use one of {', '.join(spoken)}")


def _advice(config: Config) -> Iterator[Problem]:
    """Warn of what is allowed and seldom meant; told once nothing is wrong."""
    yield from _crowded(config)
    yield from _unanswered(config)


def _crowded(config: Config) -> Iterator[Problem]:
    """Warn of hosts whose feeds' fixed intervals ask for more requests than a host gets."""
    by_host: defaultdict[str, list[Feed]] = defaultdict(list)
    for feed in config.feeds.values():
        if feed.enabled and feed.every is not None:
            by_host[host(feed.address)].append(feed)
    for name, feeds in by_host.items():
        gap = host_gap(config.settings.fetch, name)
        least = gap * len(feeds)  # seconds in which each of them has its turn
        if gap * sum(1 / feed.every for feed in feeds if feed.every) <= 1:
            continue
        place = config.place("feeds", feeds[0].name, "every")
        others = f" and {len(feeds) - 1} other feeds" if len(feeds) > 1 else ""
        late = f"`{feeds[0].name}`{others} are polled later than `every` says"
        message = f"{late}: {name} gets one request in {gap:g} s at most"
        fix = f"write `every: {math.ceil(least)}s` or more; for a host of your own, a smaller `fetch.per_host_gap`"
        yield Problem("warning", place.file, place.line, place.column, message, fix)


def _unanswered(config: Config) -> Iterator[Problem]:
    """Warn where messages have links and nobody answers them."""
    if config.settings.web is None and any(subscriber.enabled for subscriber in config.subscribers.values()):
        place = config.place("web")
        message = "nobody answers the links of messages, which unsubscribe, choose what comes and acknowledge alerts"
        fix = "remove `web: off`, unless another daemon on this database serves `public_url`"
        yield Problem("warning", place.file, place.line, place.column, message, fix)


def _beyond_budget(config: Config, now: datetime) -> Iterator[Problem]:
    """Warn where more digests of the coming week fall into the time of the budget than that lets out."""
    budget = config.settings.budget
    if budget is None:
        return
    schedules: Counter[tuple[DigestSchedule, str]] = Counter()
    for subscriber in config.subscribers.values():
        if subscriber.enabled and subscriber.digest is not None:
            times = subscriber.digest.model_copy(update={"via": (), "empty": "skip"})  # what those of one time share
            schedules[times, subscriber.timezone] += len(subscriber.digest.via)
    due: Counter[datetime] = Counter()
    for (times, zone), messages in schedules.items():
        at = now
        while (at := next_slot(times, ZoneInfo(zone), at).at) < now + timedelta(days=8):
            due[at] += messages
    most, since, waiting, count = 0, now, deque[datetime](), 0
    for at in sorted(due):
        waiting.append(at)
        count += due[at]
        while at - waiting[0] >= timedelta(seconds=budget.per):
            count -= due[waiting.popleft()]
        if count > most:
            most, since = count, waiting[0]
    if most > budget.count:
        place = config.place("budget")
        message = (
            f"the budget of {per(budget, 'message')} is smaller than what digests alone need: {most:,} from "
            f"{since:%H:%M} UTC on; what is beyond it is held until `monitor release`"
        )
        fix = "write a larger `budget`, with room for alerts, or spread the digests' `at`"
        yield Problem("warning", place.file, place.line, place.column, message, fix)


def _set_differently(config: Config, data: Path | None) -> Iterator[Problem]:
    """Warn of subscribers who set something by a signed link that differs from the files, and of a door that is off."""
    if data is None:
        return
    url, chosen = config.settings.database_url, what_is_set(config.settings.database_url, data)
    for name, rows in chosen.items():
        declared = config.subscribers.get(name)
        found = differences(declared, rows, offered(config, declared)) if declared is not None else ()
        if found:
            told = [f"{one.key} {one.topic}".rstrip() + f" to {one.chosen}" for one in found]
            more = f" and {len(told) - TOLD_DIFFERENCES} more" if len(told) > TOLD_DIFFERENCES else ""
            place = config.place("subscribers", name)
            message = (
                f"`{name}` has set {', '.join(told[:TOLD_DIFFERENCES])}{more} by a signed link, which goes above this"
            )
            fix = f"`monitor subscribers {name}` shows it, and with --clear takes it back"
            yield Problem("warning", place.file, place.line, place.column, message, fix)
    if config.settings.sign_up is None and (count := members(url, data)):
        message = f"{count} who signed up get nothing, since `sign_up` is off"
        file = str(config.folder / "monitor.yaml")
        yield Problem("warning", file, 0, 0, message, "write `sign_up: {open: false, via: …}` to keep telling them")


def idle(config: Config) -> tuple[str, ...]:
    """Return what a daemon on `config` will never do, in sentences: poll nothing, tell nobody."""
    said = []
    if not feeds_to_poll(config):
        said.append(f"There is nothing to poll: {config.folder} declares no enabled feed with a `url` (feeds.yaml).")
    if not any(subscriber.enabled for subscriber in config.subscribers.values()):
        said.append(
            f"There is nobody to tell: {config.folder} declares no subscriber that is switched on (subscribers.yaml)."
        )
    return tuple(said)


def _examine(draft: Draft, before: Loaded | None = None) -> _Examined:
    problems = [*draft.problems, *_address_problems(draft)]
    # A rule's problem where the file's own is told already only follows from it.
    told = {(problem.file, problem.line, problem.column) for problem in problems if problem.level == "error"}
    config, unsure = _with_stand_ins(draft)
    rules, found = compile_sound(config, None if before is None else (before.config, before.rules))
    problems += [problem for problem in found if (problem.file, problem.line, problem.column) not in told]
    return _Examined(rules, tuple(problems), unsure)


def _address_problems(draft: Draft) -> Iterator[Problem]:
    """Yield the channels' addresses that Apprise cannot use."""
    unknown = "monitor" in draft.broken or ("mail_from",) in draft.damaged
    sender = Sender(draft.config.settings.mail_from or (_SENDER if unknown else ""))
    for path, url in draft.addresses.items():
        wrong = sender.check(url)
        if wrong:
            place = draft.config.place(*path)
            yield Problem("error", place.file, place.line, place.column, wrong, "see docs/howto/channels.md")


def _vanished(config: Config, before: Loaded | None) -> Iterator[Problem]:
    gone = _stems(before.config) - _stems(config) if before is not None else set()
    for stem in sorted(gone & {"feeds", "topics", "subscribers"}):
        file, fix = config.folder / f"{stem}.yaml", f"make it again; to have none, write `{stem}: {{}}` in it"
        yield Problem("error", str(file), 0, 0, "is gone, and the running configuration was read from it", fix)


def _stems(config: Config) -> set[str]:
    inside = (path.relative_to(config.folder) for path in config.files if path.is_relative_to(config.folder))
    return {path.parts[0].removesuffix(".yaml") for path in inside}


def _sure_of_feeds(draft: Draft) -> Config:
    """The configuration, without its feeds when not all are known: nothing can be said of their languages then."""
    damaged = "feeds" in draft.broken or any(path[0] == "feeds" for path in draft.damaged)
    return replace(draft.config, feeds=MappingProxyType({})) if damaged else draft.config


def _with_stand_ins(draft: Draft) -> tuple[Config, frozenset[str]]:
    """Return the configuration with stand-ins for what could not be read, and the topics that hang on one."""
    config = draft.config
    if not any(problem.level == "error" for problem in draft.problems):
        return config, frozenset()  # all could be read
    topics = {name: _mended(topic, draft) for name, topic in config.topics.items()}
    unsure = {("topics", name) for name, topic in topics.items() if topic is not config.topics[name]}
    config = replace(config, topics=MappingProxyType(topics))
    used = _references(config)
    every = {name for names in used.values() for name in names}
    entities = _missing(draft, ("entities", "lists"), {*config.entities, *config.lists}, every, "@", "entities")
    macros = _missing(draft, ("macros",), set(config.macros), every, "$", "topics")
    damaged = {str(path[1]) for path in draft.damaged if path[0] in ("entities", "lists") and len(path) > 1}
    doubtful = {f"@{name}" for name in entities | damaged} | {f"${name}" for name in macros}
    while True:
        following = {path for path, names in used.items() if names & doubtful} - unsure
        if not following:
            break
        unsure |= following
        doubtful |= {f"${name}" for kind, name in following if kind == "macros"}
    config = replace(
        config,
        entities=MappingProxyType({**config.entities, **{name: Entity(name=name) for name in entities}}),
        macros=MappingProxyType({**config.macros, **dict.fromkeys(macros, _STAND_IN)}),
    )
    return config, frozenset(name for kind, name in unsure if kind == "topics")


def _mended(topic: Topic, draft: Draft) -> Topic:
    """`topic` with a stand-in for its conditions that could not be read; itself when all could."""
    keys = {str(path[2]) for path in draft.damaged if path[:2] == ("topics", topic.name) and len(path) > 2} - _APART
    if not keys:
        return topic
    dropped = {key: _LISTS[key] for key in (*keys, *(["near"] if "all" in keys else [])) if key in _LISTS}
    # One word to be found, so that no complaint follows of a topic that says nothing.
    return topic.model_copy(update={**dropped, "any": dropped.get("any", topic.any) or (_STAND_IN,)})


def _missing(draft: Draft, sections: tuple[str, ...], read: set[str], used: set[str], sign: str, stem: str) -> set[str]:
    """The names that are declared and could not be read; and when not all are known, those that are used."""
    missing = {name for section in sections for name in draft.declared[section]} - read
    if stem in draft.broken:
        missing |= {name.removeprefix(sign) for name in used if name.startswith(sign)} - read
    return missing


def _references(config: Config) -> dict[tuple[str, str], set[str]]:
    """The names, as `@entity` and `$macro`, that each readable query of a topic or macro uses."""
    used: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path, text, is_item in queries(config):
        try:
            tree = parse_item(text) if is_item else parse(text, part=True)
        except QueryError:
            continue  # told when it is compiled
        names = used[str(path[0]), str(path[1])]
        for node in walk(tree):
            if isinstance(node, EntityRef):
                names.add(f"@{node.name}")
            elif isinstance(node, MacroRef):
                names.add(f"${node.name}")
    return used

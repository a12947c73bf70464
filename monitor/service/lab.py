"""The rule lab: a draft tried on the archive, against the saved topic. Nothing is sent, and nothing changes.

The full-text index tells which stories of the time asked about may match the draft or the saved rule, where their words
tell; these are read newest first and decided by `rules.match`, both rules in one reading. Alerts are what the policy
makes of the stories found. What the time allowed does not cover is said, never guessed (docs/decisions/0024).
"""

from __future__ import annotations

import re
import textwrap
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from operator import neg

from monitor.app import App
from monitor.config import Topic
from monitor.config.closest import undeclared
from monitor.rules import (
    ALERTS_A_DAY,
    DRAFT,
    SAVED,
    Rules,
    TopicMatch,
    compile_draft,
    draft_warnings,
    often,
    try_examples,
)
from monitor.rules.examples import Tried
from monitor.service.desk import HEADLINE, midnights, written
from monitor.service.estimate import Alerts, Caught, estimate
from monitor.service.marks import Piece, pieces
from monitor.service.mending import Wrong, mistakes
from monitor.snippets import cut, snippet
from monitor.store.reports import CHUNK, Read

SECONDS = 5.0  # that a try may take; what it did not get to is said
LONGEST = 10_000  # characters of a query that is tried
SHOWN = 20  # stories gained, and lost, that are shown
DAYS = (7, 30, 90)
_WARNED = 5  # of warnings

_one_at_a_time = threading.Lock()  # a try takes a whole processor; two at once would only both be late


@dataclass(frozen=True, slots=True)
class Change:
    """A story that the draft gains or loses against the saved topic, and the clause that is the cause of it."""

    id: int
    title: tuple[Piece, ...]
    snippet: tuple[Piece, ...]
    source: str
    language: str
    at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class Try:
    """What a draft does on the archive. Counts are of stories; `alerts` are those of each group of subscribers.

    `days` are (day, draft's, saved topic's). `searched` stories were looked at, or known by the index not to match; of
    these `decided` had to be read. `whole` says that this is all stories of the time; else `reached` is how far back.
    `was` are the same counts of the saved topic, None where nothing is compared with.
    """

    query: str
    topic: str
    period: int
    wrong: tuple[Wrong, ...] = ()
    searched: int = 0
    total: int = 0
    decided: int = 0
    whole: bool = True
    reached: datetime | None = None
    seconds: float = 0.0
    days: tuple[tuple[date, int, int], ...] = ()
    hits: int = 0
    events: int = 0
    was: int | None = None
    events_was: int | None = None
    alerts: tuple[Alerts, ...] = ()
    alerts_were: tuple[Alerts, ...] = ()
    gained: tuple[Change, ...] = ()
    lost: tuple[Change, ...] = ()
    gained_count: int = 0
    lost_count: int = 0
    examples: tuple[Tried, ...] = ()
    warnings: tuple[str, ...] = ()
    yaml: str = ""
    place: str = ""

    @property
    def same(self) -> int:
        """How many stories both match."""
        return self.hits - self.gained_count

    @property
    def most(self) -> Alerts:
        """What those get who get the most of the draft."""
        return max(self.alerts, key=lambda one: one.messages)

    @property
    def most_was(self) -> Alerts:
        """What the same get of the saved topic."""
        return self.alerts_were[self.alerts.index(self.most)]


def try_query(app: App, query: str, now: datetime, *, topic: str = "", days: int = 30, seconds: float = SECONDS) -> Try:
    """Try a query on the stories of the latest `days` days, against a saved topic if one is named.

    An empty query is the topic's own. Raises NotFoundError for a topic that is not declared.
    """
    trial = Trial(app, query, now, topic=topic, days=days, seconds=seconds)
    for _ in trial.steps():
        pass
    return trial.result()


class Trial:
    """A try that goes on step by step, so that whoever waits for it can be told how far it is."""

    def __init__(
        self, app: App, query: str, now: datetime, *, topic: str = "", days: int = 30, seconds: float = SECONDS
    ) -> None:
        """Prepare to try a query, as `try_query` does; what is wrong with it is known at once."""
        config, rules = app.config, app.rules
        declared = config.topics.get(topic)
        if topic and declared is None:
            raise undeclared("topic", topic, config.topics)
        if not query.strip() and declared is not None:
            query = written(declared)
        self._app, self._declared, self._now = app, declared, now
        self._told = Try(query, topic, days)
        self._draft: Rules | None = None
        self._warned: list[tuple[str, str]] = []
        if not query.strip():
            return
        if len(query) > LONGEST:
            said = f"the query is longer than {LONGEST:,} characters"
            wrong: tuple[Wrong, ...] = (Wrong(said, 1, 1, query[:100], "^", "make macros of parts", ()),)
        else:
            wrong = mistakes(query, config, rules)
        if wrong:
            self._told = replace(self._told, wrong=wrong)
            return
        self._draft = compile_draft(query, config, rules, topic)
        self._warned = [(one.message, one.fix) for one in draft_warnings(config, self._draft, declared)]
        self._scan = _Scan(app, self._draft, declared is not None, midnights(app, now, days), seconds)

    @property
    def told(self) -> Try:
        """What is known of it before any step."""
        return self._told

    def steps(self) -> Iterator[tuple[int, int]]:
        """Try, a step at a time; yield how many stories of how many are through."""
        if self._draft is not None:
            yield from self._scan.steps()

    def result(self) -> Try:
        """Return what was found as far as the steps went."""
        told, draft, declared, found = self._told, self._draft, self._declared, getattr(self, "_scan", None)
        if draft is None or found is None:
            return told
        place = self._app.config.place("topics", told.topic) if declared is not None else None
        since = found.reached if not found.whole and found.reached is not None else found.bounds[0]

        if too_many := self._too_many(found, since):
            self._warned.insert(0, too_many)

        def alerts(caught: Sequence[Caught]) -> tuple[Alerts, ...]:
            return estimate(self._app, told.topic or "new-topic", caught, since, self._now)

        return replace(
            told,
            searched=found.searched,
            total=found.total,
            decided=found.decided,
            whole=found.whole,
            reached=found.reached,
            seconds=found.seconds,
            days=found.days(),
            hits=len(found.draft),
            events=len({one.event for one in found.draft}),
            was=len(found.saved) if declared is not None else None,
            events_was=len({one.event for one in found.saved}) if declared is not None else None,
            alerts=alerts(found.draft),
            alerts_were=alerts(found.saved) if declared is not None else (),
            gained=tuple(_change(one, draft, DRAFT, SAVED) for one in found.gained),
            lost=tuple(_change(one, draft, SAVED, DRAFT) for one in found.lost),
            gained_count=found.gained_count,
            lost_count=found.lost_count,
            examples=try_examples(draft, DRAFT, declared) if declared is not None else (),
            warnings=_sentences(self._warned),
            yaml=as_yaml(told.topic, told.query, declared),
            place=f"{place.file.rpartition('/')[2]} line {place.line}"
            if place is not None and place.line
            else "topics.yaml",
        )

    def _too_many(self, found: _Scan, since: datetime) -> tuple[str, str] | None:
        """Return what is said of a draft that would alert too often, as `monitor check` judges a topic, and the fix."""
        reports, first = self._app.store.reports, self._app.store.reports.first_seen()
        days = max((self._now - max(since, first or since)) / timedelta(days=1), 1)
        if len(found.draft) / days <= ALERTS_A_DAY:
            return None
        news = len(found.draft) - len(reports.only_first_polls([one.story for one in found.draft]))
        if news / days <= ALERTS_A_DAY:
            return None  # most were there at a feed's first poll, which alerts nobody and says nothing of a day
        term, times = max(found.terms.items(), key=lambda item: (item[1], item[0]), default=("", 0))
        most = f", most often by `{term}`" if times else ""
        over = "the last day" if days <= 1 else f"the last {days:.0f} days"
        return often("the draft", news / days, f"{news:,} stories of {over}{most}")


def _sentences(said: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    found = [f"{message}. {fix[:1].upper()}{fix[1:]}" for message, fix in said[:_WARNED]]
    return (*found, f"{len(said) - _WARNED:,} more; `monitor check` shows all") if len(said) > _WARNED else tuple(found)


@dataclass(slots=True)
class _Scan:
    """One pass over the stories that may match, newest first, until all are read or the time is over."""

    app: App
    rules: Rules
    compares: bool
    bounds: Sequence[datetime]
    allowed: float
    searched: int = 0
    total: int = 0
    decided: int = 0
    whole: bool = True
    reached: datetime | None = None
    seconds: float = 0.0
    gained_count: int = 0
    lost_count: int = 0
    draft: list[Caught] = field(default_factory=list)
    saved: list[Caught] = field(default_factory=list)
    gained: list[Read] = field(default_factory=list)
    lost: list[Read] = field(default_factory=list)
    counts: dict[date, list[int]] = field(default_factory=dict)
    terms: Counter[str] = field(default_factory=Counter)  # in how many of the draft's stories each was found

    def steps(self) -> Iterator[tuple[int, int]]:
        reports, since, began = self.app.store.reports, self.bounds[0], time.monotonic()
        every = reports.numbers_since(since)
        wanted = self.rules.needed()
        numbers = every if wanted is None else reports.numbers_since(since, wanted)
        self.total = len(every)
        for chunk in reports.reading(numbers):
            with _one_at_a_time:
                self._decide(chunk)
            self.decided = min(self.decided + CHUNK, len(numbers))
            if self.decided == len(numbers):
                break
            self.searched = bisect_right(every, -numbers[self.decided - 1], key=neg)  # they go downward
            self.reached = chunk[-1].at if chunk else self.reached
            if time.monotonic() - began > self.allowed:
                self.whole = False
                break
            yield self.searched, self.total
        if self.whole:
            self.searched = self.total
        self.seconds = time.monotonic() - began

    def _decide(self, chunk: Iterable[Read]) -> None:
        here = self.bounds[0].tzinfo
        for one in chunk:
            found = {match.topic: match for match in self.rules.match(one.text)}
            if found:
                self._count(one, found, one.at.astimezone(here).date())

    def _count(self, one: Read, found: Mapping[str, TopicMatch], day: date) -> None:
        draft, saved = DRAFT in found, SAVED in found
        counts = self.counts.setdefault(day, [0, 0])
        counts[0] += draft
        counts[1] += saved
        if draft:
            self.draft.append(self._caught(one, found[DRAFT]))
            self.terms.update({e.term for e in found[DRAFT].evidence if e.field in ("title", "summary", "text")})
        if saved:
            self.saved.append(self._caught(one, found[SAVED]))
        if draft and not saved:
            self.gained_count += 1
            if len(self.gained) < SHOWN:
                self.gained.append(one)
        elif saved and not draft:
            self.lost_count += 1
            if len(self.lost) < SHOWN:
                self.lost.append(one)

    def _caught(self, one: Read, match: TopicMatch) -> Caught:
        declared = self.app.config.entities
        named = dict.fromkeys(e.entity for e in match.evidence if e.entity)
        titles = tuple(declared[name].title if name in declared else name for name in named)
        return Caught(one.id, one.event_id, one.at, one.claimed_at, one.text.title, one.text.source, titles)

    def days(self) -> tuple[tuple[date, int, int], ...]:
        """Return the counts by day."""
        found = []
        for bound in self.bounds[:-1]:
            draft, saved = self.counts.get(bound.date(), (0, 0))
            found.append((bound.date(), draft, saved))
        return tuple(found)


def _change(one: Read, rules: Rules, by: str, without: str) -> Change:
    """Return a story that rule `by` matches and rule `without` does not."""
    text = one.text
    evidence = next(match.evidence for match in rules.match(text) if match.topic == by)
    passage, marks = snippet(text.summary, text.text, evidence, 240)
    cause = rules.why_not(text, without) if without in rules else ""
    return Change(
        id=one.id,
        title=tuple(pieces(cut(text.title, HEADLINE), "title", evidence)),
        snippet=tuple(pieces(passage, "snippet", marks)) if passage != text.title else (),
        source=text.source,
        language=text.language,
        at=one.at,
        cause=cause,
    )


def as_yaml(topic: str, query: str, declared: Topic | None) -> str:
    """Return the YAML to paste: the topic's name and its query, a folded text where it is long or has a quote."""
    name = topic or "new-topic"
    lines = [line.rstrip() for line in query.strip().splitlines()]
    folded = "\n".join(textwrap.indent(line.strip(), "    ") for line in lines if line.strip())
    title = "" if declared is None or declared.title == name else f"  title: {_plain(declared.title)}\n"
    return f"{name}:\n{title}  query: >-\n{folded}\n"


def _plain(text: str) -> str:
    return text if re.fullmatch(r"[\w][\w ./-]*", text) else "'" + text.replace("'", "''") + "'"

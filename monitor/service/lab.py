"""The rule lab: a draft tried on the archive, against the saved topic. Nothing is sent, and nothing changes.

The stories of the time asked about are read newest first and decided by `rules.match`, draft and saved rule in one
reading. What the time allowed does not cover is said, never guessed (docs/decisions/0018).
"""

from __future__ import annotations

import re
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from monitor.app import App
from monitor.config import Config, Topic
from monitor.errors import NotFoundError, QueryError
from monitor.rules import DRAFT, SAVED, Rules, compile_draft, lifeless, try_examples
from monitor.rules.examples import Tried
from monitor.service.desk import HEADLINE, midnights, written
from monitor.service.marks import Piece, pieces
from monitor.snippets import cut, snippet
from monitor.store.reports import Read

SECONDS = 5.0  # that a try may take; what it did not get to is said
LONGEST = 10_000  # characters of a query that is tried
SHOWN = 20  # stories gained, and lost, that are shown
DAYS = (7, 30, 90)
_FIXES = 3

_one_at_a_time = threading.Lock()  # a try takes a whole processor; two at once would only both be late


@dataclass(frozen=True, slots=True)
class Fix:
    """A way to mend a query: what it then is. It is offered only when it does away with the mistake."""

    label: str
    query: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """A mistake in a query, at its place, and what would mend it."""

    message: str
    line: int
    column: int
    source: str
    carets: str
    remedy: str
    fixes: tuple[Fix, ...]


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
    """What a draft does on the archive. Counts are of stories; `events` are what alerts go by, one for each.

    `days` are (day, draft's, saved topic's). `whole` says that all stories of the time were read; else `reached` is how
    far back. `was` are the same counts of the saved topic, None where nothing is compared with.
    """

    query: str
    topic: str
    period: int
    wrong: Wrong | None = None
    searched: int = 0
    total: int = 0
    whole: bool = True
    reached: datetime | None = None
    seconds: float = 0.0
    days: tuple[tuple[date, int, int], ...] = ()
    hits: int = 0
    events: int = 0
    was: int | None = None
    events_was: int | None = None
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


def try_query(app: App, query: str, now: datetime, *, topic: str = "", days: int = 30, seconds: float = SECONDS) -> Try:
    """Try a query on the stories of the latest `days` days, against a saved topic if one is named.

    An empty query is the topic's own. Raises NotFoundError for a topic that is not declared.
    """
    config, rules = app.config, app.rules
    declared = config.topics.get(topic)
    if topic and declared is None:
        raise NotFoundError(f"no topic `{topic}` is declared (declared: {', '.join(config.topics) or 'none'})")
    if not query.strip() and declared is not None:
        query = written(declared)
    if not query.strip():
        return Try(query, topic, days)
    try:
        if len(query) > LONGEST:
            raise QueryError(
                f"the query is longer than {LONGEST:,} characters", query[:200], 0, 1, "make macros of parts"
            )
        draft = compile_draft(query, config, rules, topic)
    except QueryError as error:
        return Try(query, topic, days, wrong=_wrong(error, config, rules, topic))
    found = _Scan(app, draft, declared is not None, midnights(app, now, days), now, seconds).run()
    place = config.place("topics", topic) if declared is not None else None
    return Try(
        query=query,
        topic=topic,
        period=days,
        searched=found.searched,
        total=found.total,
        whole=found.whole,
        reached=found.reached,
        seconds=found.seconds,
        days=found.days(),
        hits=found.hits,
        events=len(found.events),
        was=found.was if declared is not None else None,
        events_was=len(found.events_was) if declared is not None else None,
        gained=tuple(_change(one, draft, DRAFT, SAVED) for one in found.gained),
        lost=tuple(_change(one, draft, SAVED, DRAFT) for one in found.lost),
        gained_count=found.gained_count,
        lost_count=found.lost_count,
        examples=try_examples(draft, DRAFT, declared) if declared is not None else (),
        warnings=lifeless(query),
        yaml=as_yaml(topic, query, declared),
        place=f"{place.file.rpartition('/')[2]} line {place.line}"
        if place is not None and place.line
        else "topics.yaml",
    )


@dataclass(slots=True)
class _Scan:
    """One pass over the stories, newest first, until all are read or the time is over."""

    app: App
    rules: Rules
    compares: bool
    bounds: Sequence[datetime]
    now: datetime
    allowed: float
    searched: int = 0
    total: int = 0
    whole: bool = True
    reached: datetime | None = None
    seconds: float = 0.0
    hits: int = 0
    was: int = 0
    gained_count: int = 0
    lost_count: int = 0
    events: set[int] = field(default_factory=set)
    events_was: set[int] = field(default_factory=set)
    gained: list[Read] = field(default_factory=list)
    lost: list[Read] = field(default_factory=list)
    counts: dict[date, list[int]] = field(default_factory=dict)

    def run(self) -> _Scan:
        reports, since = self.app.store.reports, self.bounds[0]
        here = self.bounds[0].tzinfo
        with _one_at_a_time:
            began = time.monotonic()
            self.total = reports.count_since(since)
            for chunk in reports.reading(since):
                for one in chunk:
                    found = {match.topic for match in self.rules.match(one.text)}
                    if found:
                        self._count(one, DRAFT in found, SAVED in found, one.at.astimezone(here).date())
                self.searched += len(chunk)
                self.reached = chunk[-1].at
                if time.monotonic() - began > self.allowed:
                    break
            self.seconds = time.monotonic() - began
        self.whole = self.searched >= self.total
        return self

    def _count(self, one: Read, draft: bool, saved: bool, day: date) -> None:
        counts = self.counts.setdefault(day, [0, 0])
        counts[0] += draft
        counts[1] += saved
        self.hits += draft
        self.was += saved
        if draft:
            self.events.add(one.event_id)
        if saved:
            self.events_was.add(one.event_id)
        if draft and not saved:
            self.gained_count += 1
            if len(self.gained) < SHOWN:
                self.gained.append(one)
        elif saved and not draft:
            self.lost_count += 1
            if len(self.lost) < SHOWN:
                self.lost.append(one)

    def days(self) -> tuple[tuple[date, int, int], ...]:
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


_TICKED = re.compile(r"`([^`…]+)`")
_OPERATOR = re.compile(r"and|or|not|o?near(/\d+)?", re.IGNORECASE)
_WRITE = re.compile(r"write ([^\s,`]+/\d+)")


def _wrong(error: QueryError, config: Config, rules: Rules, topic: str) -> Wrong:
    source, _, carets = error.caret().partition("\n")
    return Wrong(
        error.message,
        error.line,
        error.column,
        source,
        carets,
        error.fix,
        tuple(_fixes(error, config, rules, topic)),
    )


def _fixes(error: QueryError, config: Config, rules: Rules, topic: str) -> Iterator[Fix]:
    """Yield what the remedy names, put in, where that does away with this mistake."""
    text, offered = error.text, 0
    meant = error.fix.startswith("did you mean")  # then a word is another one afterwards
    named = [*_WRITE.findall(error.fix), *_TICKED.findall(error.fix)]
    for one in dict.fromkeys(named):
        for mended in (one, text[: error.start] + one + text[error.end :], text.rstrip() + one):
            if mended == text or not (meant or _words(mended) == _words(text)):
                continue
            try:
                compile_draft(mended, config, rules, topic)
            except QueryError as other:
                if other.start <= error.start or other.message == error.message:
                    continue
            yield Fix(f"Use {one}" if len(one) <= 60 else "Use this", mended)
            offered += 1
            break
        if offered == _FIXES:
            return


def _words(text: str) -> list[str]:
    """The words of a query that are no operators, in any order."""
    return sorted(word for word in re.findall(r"[^\s()\"]+", text) if not _OPERATOR.fullmatch(word))


def as_yaml(topic: str, query: str, declared: Topic | None) -> str:
    """Return the YAML to paste: the topic's name and its query, a folded text where it is long or has a quote."""
    name = topic or "new-topic"
    lines = [line.rstrip() for line in query.strip().splitlines()]
    folded = "\n".join(textwrap.indent(line.strip(), "    ") for line in lines if line.strip())
    title = "" if declared is None or declared.title == name else f"  title: {_plain(declared.title)}\n"
    return f"{name}:\n{title}  query: >-\n{folded}\n"


def _plain(text: str) -> str:
    return text if re.fullmatch(r"[\w][\w ./-]*", text) else "'" + text.replace("'", "''") + "'"

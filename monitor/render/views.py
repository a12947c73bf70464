"""What templates see of an alert, a digest or a notice: clean text of bounded length, local times, marked pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from monitor.dispatch import (
    SEVERITIES,
    Alert,
    Change,
    Confirmation,
    Digest,
    Notice,
    Report,
    StoryView,
    TopicRef,
    VolumeAlert,
)
from monitor.errors import URLError
from monitor.render.escape import direction, plain
from monitor.render.messages import Links, Reader, Site
from monitor.snippets import ELLIPSIS, cut
from monitor.text import Evidence
from monitor.urls import check_url

HEADLINE = 140  # characters
_LINK = 2_000  # characters; no link is shown for a longer address
_NAMES = 100  # outlets, entities or words of one story that are looked at; templates show fewer
_NOTICE_LINE = 400
_REPORTS = 4  # other outlets' headlines under an alert
_GATHERED = 10  # other events in an alert
_CHANGES = 6  # what is new in an update
_DAYS = 14
_UNUSUAL = 1.5  # times the usual number of stories, from which a digest's first sentence speaks of it
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}")


@dataclass(frozen=True, slots=True)
class Level:
    """How much is shown: stories a topic and in all (or a notice's lines), topics with stories, snippet characters."""

    a_topic: int
    stories: int
    topics: int
    snippet: int


@dataclass(frozen=True, slots=True)
class _Shown:
    """A story as templates see it: plain text on one line, cut; the time in the reader's zone."""

    title: str
    title_dir: str
    title_pieces: tuple[tuple[str, bool], ...]  # as `pieces`; marked only where the snippet shows no matched word
    link: str
    host: str
    source: str
    others: tuple[str, ...]
    language: str
    snippet: str
    snippet_dir: str
    pieces: tuple[tuple[str, bool], ...]  # the snippet in parts; True: a matched one
    title_words: tuple[str, ...]
    snippet_words: tuple[str, ...]
    other_words: tuple[str, ...]
    at: datetime
    edited: bool
    page: bool
    first: tuple[str, datetime]  # outlet and time of the earliest report
    also: tuple[str, ...]  # the outlets but for that one
    reports: tuple[_Report, ...]
    latest: datetime | None
    weight: float
    desk: str  # the story's page of the desk


@dataclass(frozen=True, slots=True)
class _Report:
    """Another outlet's report as templates see it."""

    title: str
    title_dir: str
    link: str
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class _Topic:
    """A topic as templates see it. `off` is the link that mutes it, `desk` its page of the desk.

    `share` and `usual_share` are percentages of the digest's longest bar; `times` is how many times usual `total` is,
    where that is known.
    """

    title: str
    off: str
    desk: str
    stories: tuple[_Shown, ...] = ()
    total: int = 0
    more: int = 0
    events: int = 0
    share: int = 0
    usual: float | None = None
    usual_share: int = 0
    times: float | None = None


def view(
    value: Alert | Digest | VolumeAlert | Notice | Confirmation,
    reader: Reader,
    site: Site,
    links: Links,
    now: datetime | None,
    level: Level,
) -> dict[str, Any]:
    """Return the names that templates of `value` may use."""
    if isinstance(value, (Digest, VolumeAlert)):
        now = value.until
    shown = _Viewer(reader, site, links, level)
    common = {
        "reader": replace(reader, title=plain(reader.title)),
        "site": replace(site, name=plain(site.name)),
        "links": links,
        "zone": reader.zone.key,
        "now": now and now.astimezone(reader.zone),
    }
    match value:
        case Notice():
            named = {"notice": _notice(value, level)}
        case Confirmation():
            named = {"confirmation": {"is_known": value.is_known}}
        case Alert():
            named = {"alert": shown.alert(value)}
        case VolumeAlert():
            named = {"volume": shown.volume(value)}
        case Digest():
            named = {"digest": shown.digest(value)}
    return common | {"common": common} | named


def _notice(notice: Notice, level: Level) -> dict[str, Any]:
    lines = [cut(plain(line), _NOTICE_LINE) for line in notice.lines[: level.stories]]
    left_out = len(notice.lines) - len(lines)
    return {"title": cut(plain(notice.title), HEADLINE), "lines": lines, "left_out": left_out}


def by_severity(topics: Iterable[TopicRef]) -> list[TopicRef]:
    """Return `topics` with the severest first, and else in their order."""
    return sorted(topics, key=lambda topic: -SEVERITIES.index(topic.severity))


@dataclass(frozen=True, slots=True)
class _Viewer:
    """Makes what templates see, for one reader and one level."""

    reader: Reader
    site: Site
    links: Links
    level: Level

    def alert(self, alert: Alert) -> dict[str, Any]:
        topics = [self._topic(topic) for topic in by_severity(alert.topics)]
        gathered = alert.more[: min(_GATHERED, self.level.stories)]
        opening = alert.opening
        return {
            "topics": topics,
            "offs": [topic for topic in topics if topic.off][:5],
            "story": self._story(alert.story),
            "entities": [cut(plain(name), 60) for name in alert.entities[:_NAMES]],
            "reason": cut(plain(alert.reason), 200),
            "unacknowledged": alert.unacknowledged
            and {
                "readers": [cut(plain(name), 60) for name in alert.unacknowledged.readers],
                "length": timedelta(seconds=alert.unacknowledged.seconds),
            },
            "held_since": alert.held_since and alert.held_since.astimezone(self.reader.zone),
            "news": [_change(change) for change in alert.news[:_CHANGES]],
            "opening_topics": [self._topic(topic) for topic in by_severity(opening.topics)] if opening else (),
            "opening_title": cut(plain(opening.title), HEADLINE) if opening else "",
            "more": [self._story(story) for story in gathered],
            "more_total": len(alert.more) + alert.beyond,
            "beyond": len(alert.more) + alert.beyond - len(gathered),
        }

    def volume(self, volume: VolumeAlert) -> dict[str, Any]:
        zone = self.reader.zone
        days = volume.days[-_DAYS:]
        most = max([*days, 1])
        until = volume.until.astimezone(zone)
        first = until.date() - timedelta(days=len(days) - 1)
        return {
            "topic": self._topic(volume.topic),
            "kind": volume.kind,
            "count": volume.count,
            "usual": volume.usual,
            "times": _times(volume.count, volume.usual),
            "since": volume.since.astimezone(zone),
            "until": until,
            "length": volume.until - volume.since,
            "days": [(first + timedelta(days=n), count, 100 * count // most) for n, count in enumerate(days)],
            "stories": [self._story(story) for story in volume.stories[: min(5, self.level.stories)]],
        }

    def digest(self, digest: Digest) -> dict[str, Any]:
        level = self.level
        shown = digest.sections[: level.topics]
        longest = max((max(section.total, section.usual or 0) for section in digest.sections), default=0) or 1
        is_known = any(section.usual is not None for section in digest.sections)
        sections = [
            replace(
                self._topic(section.topic),
                stories=tuple(self._story(story) for story in section.stories[:count]),
                total=section.total,
                more=section.more + len(section.stories) - count,
                events=section.more + len(section.stories),
                share=max(2, round(100 * section.total / longest)),
                usual=section.usual,
                usual_share=round(100 * (section.usual or 0) / longest),
                times=_times(section.total, section.usual),
            )
            for section, count in zip(shown, _shares([len(s.stories) for s in shown], level), strict=True)
        ]
        rest = [replace(self._topic(s.topic), total=s.total) for s in digest.sections[level.topics :]]
        quiet = [self._topic(topic) for topic in digest.quiet]
        ranked = sorted((s for section in sections for s in section.stories), key=lambda s: (-s.weight, -len(s.others)))
        best = ranked[:1]
        unusual = [section for section in sections if (section.times or 0) >= _UNUSUAL and section.total > 2]
        return {
            "sections": sections,
            "rest": rest,
            "quiet": quiet,
            "all_topics": [*sections, *rest, *quiet],
            "total": sum(section.more + len(section.stories) for section in digest.sections),
            "topic_count": len(digest.sections),
            "largest": max([*sections, *rest], key=lambda s: s.total, default=None),
            "unusual": max(unusual, key=lambda s: s.times or 0, default=None),
            "knows_usual": is_known,
            "best": best[0] if best else None,
            "next_best": [story for story in ranked[1:] if story.title and story.title != best[0].title][:2],
            "has_marks": any(is_match for story in ranked for _, is_match in (*story.title_pieces, *story.pieces)),
            "since": digest.since.astimezone(self.reader.zone),
            "now": digest.until.astimezone(self.reader.zone),
            "summary": digest.summary,
            "limit": digest.limit,
        }

    def _topic(self, topic: TopicRef) -> _Topic:
        title = cut(plain(topic.title) or topic.name, 80)
        return _Topic(title, self.links.topic_off.get(topic.name, ""), self._desk("topics", topic.name))

    def _desk(self, *path: str) -> str:
        """A page of the desk, or "" where no address is known."""
        base = _link(self.site.public_url) and self.site.public_url.rstrip("/")
        return "/".join((base, *(quote(part, safe="") for part in path))) if base else ""

    def _story(self, story: StoryView) -> _Shown:
        zone = self.reader.zone
        title = cut(plain(story.title), HEADLINE)
        link = _link(story.url)
        is_repeat = plain(story.snippet).casefold() == plain(story.title).casefold()
        passage = "" if is_repeat else cut(story.snippet, self.level.snippet)
        length = len(passage) if passage == story.snippet else _kept(passage)
        marks = _marks(story.evidence, "snippet", length)
        title_marks = [] if marks else _marks(_on_plain(story.title, story.evidence), "title", _kept(title))
        elsewhere = (e.term for e in story.evidence if e.field not in ("title", "snippet", "summary", "text"))
        source = cut(plain(story.source), 60)
        others = tuple(filter(None, (cut(plain(name), 60) for name in story.others[:_NAMES])))
        reports = tuple(self._report(report) for report in story.reports[:_REPORTS])
        first, also = (source, story.at.astimezone(zone)), others
        if reports and reports[0].source and reports[0].at < story.at:
            first = reports[0].source, reports[0].at
            also = tuple(name for name in (source, *others) if name not in ("", first[0]))
        return _Shown(
            title=title,
            title_dir=direction(title),
            title_pieces=_pieces(title, title_marks),
            link=link,
            host=urlsplit(link).hostname or "" if link else "",
            source=source,
            others=others,
            language=story.language if _LANGUAGE.fullmatch(story.language) else "",
            snippet=plain(passage),
            snippet_dir=direction(passage),
            pieces=_pieces(passage, marks),
            title_words=_distinct(story.title[a:b] for a, b in _marks(story.evidence, "title", len(story.title))),
            snippet_words=_distinct(passage[a:b] for a, b in marks),
            other_words=_distinct(elsewhere),
            at=story.at.astimezone(zone),
            edited=story.edited,
            page=story.page,
            first=first,
            also=also,
            reports=reports,
            latest=story.latest and story.latest.astimezone(zone),
            weight=story.weight,
            desk=self._desk("stories", str(story.id)),
        )

    def _report(self, report: Report) -> _Report:
        title = cut(plain(report.title), HEADLINE)
        at = report.at.astimezone(self.reader.zone)
        return _Report(title, direction(title), _link(report.url), cut(plain(report.source), 60), at)


def _change(change: Change) -> Change:
    """A change of clean and short words."""
    now, was, about = (cut(plain(text), HEADLINE) for text in (change.now, change.was, change.about))
    return replace(change, now=now, was=was, about=about)


def _times(count: int, usual: float | None) -> float | None:
    """How many times usual `count` is; None where that is not known, or usual is nothing."""
    return count / usual if usual else None


def _shares(available: Sequence[int], level: Level) -> list[int]:
    """How many stories each topic shows: one each in turn, so that late topics are not starved."""
    counts = [0] * len(available)
    left = level.stories
    for round_ in range(level.a_topic):
        for index, stories in enumerate(available):
            if left and stories > round_:
                counts[index] += 1
                left -= 1
    return counts


def _link(url: str) -> str:
    """`url` as messages may show it, or "" when it is not of http(s), hides its host behind a name, or is too long.

    What could end a link early in HTML, Slack's markup or plain text is percent-encoded.
    """
    try:
        checked = check_url(url)
    except URLError:
        return ""
    parts = urlsplit(checked)
    start = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or not checked.startswith(start):
        return ""
    link = start + quote(checked[len(start) :], safe="%/:?#[]@!$&()*+,;=~")
    return link if len(link) <= _LINK else ""


def _kept(text: str) -> int:
    """How many characters of a text that may be cut are its own."""
    return len(text.removesuffix(ELLIPSIS))


def _on_plain(text: str, evidence: Iterable[Evidence]) -> Iterator[Evidence]:
    """Yield the evidence in a headline, moved to where its words stand once the headline is `plain`."""
    for found in evidence:
        if found.field == "title" and 0 <= found.start < found.end <= len(text):
            before, words = plain(text[: found.start]), plain(text[found.start : found.end])
            start = len(before) + bool(before and words and plain(text[: found.end]) != before + words)
            yield found._replace(start=start, end=start + len(words))


def _marks(evidence: Iterable[Evidence], field: str, length: int) -> list[tuple[int, int]]:
    """The spans of `field`, sorted, cut at `length`; those that overlap as one."""
    marks: list[tuple[int, int]] = []
    for start, end in sorted((e.start, min(e.end, length)) for e in evidence if e.field == field):
        if not 0 <= start < end:
            continue
        if marks and start < marks[-1][1]:
            marks[-1] = (marks[-1][0], max(end, marks[-1][1]))
        else:
            marks.append((start, end))
    return marks


def _pieces(text: str, marks: Sequence[tuple[int, int]]) -> tuple[tuple[str, bool], ...]:
    """`text` in parts, each cleaned; True says that the part matched."""
    pieces, at = [], 0
    for start, end in marks:
        pieces += [(_part(text[at:start]), False), (_part(text[start:end]), True)]
        at = end
    pieces.append((_part(text[at:]), False))
    return tuple((part, is_match) for part, is_match in pieces if part)


def _part(text: str) -> str:
    """`plain`, but with a blank kept at each end, since the neighbours follow."""
    words = plain(text)
    if not words:
        return " " if text[:1].isspace() else ""
    return " " * text[0].isspace() + words + " " * text[-1].isspace()


def _distinct(words: Iterable[str]) -> tuple[str, ...]:
    found = {word.casefold(): cut(word, 40) for word in reversed([plain(word) for word in words][:_NAMES]) if word}
    return tuple(reversed(found.values()))

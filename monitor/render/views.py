"""What templates see of an alert, a digest or a notice: clean text of bounded length, local times, marked pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from monitor.dispatch import SEVERITIES, Alert, Digest, Notice, StoryView, TopicRef
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


@dataclass(frozen=True, slots=True)
class _Topic:
    """A topic as templates see it. `off` is the link that mutes it; `share` its percentage of the largest topic."""

    title: str
    off: str
    stories: tuple[_Shown, ...] = ()
    total: int = 0
    more: int = 0
    share: int = 0


def view(
    value: Alert | Digest | Notice,
    reader: Reader,
    site: Site,
    links: Links,
    now: datetime | None,
    level: Level,
) -> dict[str, Any]:
    """Return the names that templates of `value` may use."""
    if isinstance(value, Digest):
        now = value.until
    common = {
        "reader": replace(reader, title=plain(reader.title)),
        "site": replace(site, name=plain(site.name)),
        "links": links,
        "zone": reader.zone.key,
        "now": now and now.astimezone(reader.zone),
    }
    if isinstance(value, Notice):
        return common | {"common": common, "notice": _notice(value, level)}
    if isinstance(value, Alert):
        return common | {"common": common, "alert": _alert(value, reader, links, level)}
    return common | {"common": common, "digest": _digest(value, reader, links, level)}


def _notice(notice: Notice, level: Level) -> dict[str, Any]:
    lines = [cut(plain(line), _NOTICE_LINE) for line in notice.lines[: level.stories]]
    left_out = len(notice.lines) - len(lines)
    return {"title": cut(plain(notice.title), HEADLINE), "lines": lines, "left_out": left_out}


def by_severity(topics: Iterable[TopicRef]) -> list[TopicRef]:
    """Return `topics` with the severest first, and else in their order."""
    return sorted(topics, key=lambda topic: -SEVERITIES.index(topic.severity))


def _alert(alert: Alert, reader: Reader, links: Links, level: Level) -> dict[str, Any]:
    topics = [_topic(topic, links) for topic in by_severity(alert.topics)]
    return {
        "topics": topics,
        "offs": [topic for topic in topics if topic.off][:5],
        "story": _shown(alert.story, reader, level.snippet),
        "further": [_shown(story, reader, min(level.snippet, 160)) for story in alert.further[: level.stories]],
        "more": len(alert.further[level.stories :]),
        "entities": [cut(plain(name), 60) for name in alert.entities[:_NAMES]],
        "reason": cut(plain(alert.reason), 200),
    }


def _digest(digest: Digest, reader: Reader, links: Links, level: Level) -> dict[str, Any]:
    shown = digest.sections[: level.topics]
    largest = max((section.total for section in digest.sections), default=1)
    sections = [
        replace(
            _topic(section.topic, links),
            stories=tuple(_shown(story, reader, level.snippet) for story in section.stories[:count]),
            total=section.total,
            more=section.more + len(section.stories) - count,
            share=max(2, round(100 * section.total / largest)) if largest else 0,
        )
        for section, count in zip(shown, _shares([len(s.stories) for s in shown], level), strict=True)
    ]
    rest = [replace(_topic(s.topic, links), total=s.total) for s in digest.sections[level.topics :]]
    quiet = [_topic(topic, links) for topic in digest.quiet]
    ranked = sorted((s for section in sections for s in section.stories), key=lambda s: -len(s.others))
    best = ranked[:1]
    return {
        "sections": sections,
        "rest": rest,
        "quiet": quiet,
        "all_topics": [*sections, *rest, *quiet],
        "total": sum(section.total for section in digest.sections),
        "topic_count": len(digest.sections),
        "largest": max([*sections, *rest], key=lambda s: s.total, default=None),
        "best": best[0] if best else None,
        "next_best": [story for story in ranked[1:] if story.title and story.title != best[0].title][:2],
        "has_marks": any(is_match for story in ranked for _, is_match in (*story.title_pieces, *story.pieces)),
        "since": digest.since.astimezone(reader.zone),
        "now": digest.until.astimezone(reader.zone),
    }


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


def _topic(topic: TopicRef, links: Links) -> _Topic:
    return _Topic(cut(plain(topic.title) or topic.name, 80), links.topic_off.get(topic.name, ""))


def _shown(story: StoryView, reader: Reader, limit: int) -> _Shown:
    title = cut(plain(story.title), HEADLINE)
    link = _link(story.url)
    is_repeat = plain(story.snippet).casefold() == plain(story.title).casefold()
    passage = "" if is_repeat else cut(story.snippet, limit)
    length = len(passage) if passage == story.snippet else _kept(passage)
    marks = _marks(story.evidence, "snippet", length)
    title_marks = [] if marks else _marks(_on_plain(story.title, story.evidence), "title", _kept(title))
    elsewhere = (e.term for e in story.evidence if e.field not in ("title", "snippet", "summary", "text"))
    return _Shown(
        title=title,
        title_dir=direction(title),
        title_pieces=_pieces(title, title_marks),
        link=link,
        host=urlsplit(link).hostname or "" if link else "",
        source=cut(plain(story.source), 60),
        others=tuple(filter(None, (cut(plain(name), 60) for name in story.others[:_NAMES]))),
        language=story.language if _LANGUAGE.fullmatch(story.language) else "",
        snippet=plain(passage),
        snippet_dir=direction(passage),
        pieces=_pieces(passage, marks),
        title_words=_distinct(story.title[a:b] for a, b in _marks(story.evidence, "title", len(story.title))),
        snippet_words=_distinct(passage[a:b] for a, b in marks),
        other_words=_distinct(elsewhere),
        at=story.at.astimezone(reader.zone),
        edited=story.edited,
        page=story.page,
    )


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

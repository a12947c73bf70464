"""A story's page: its journey with the words that matched marked, and the positions of each term."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice

from monitor.app import App
from monitor.models import Delivery, Page, Sighting, Story
from monitor.rules import Explanation, tidy
from monitor.service.journey import Explained, Told, TopicVerdict
from monitor.service.marks import Piece, label, numbers, pieces
from monitor.service.outcomes import Stand, became, place
from monitor.service.untold import Untold
from monitor.store.reports import MOST_STORIES
from monitor.text import Evidence, words

MOST_NODES = 120  # of a rule's tree that a page shows
PARAGRAPHS = 12  # of a text
_BODY = 6_000  # characters of a text that are shown
_FULL = 14_000  # bytes of the topics that are shown with tree and text, the first of which is always
_A_LINE = 130  # bytes that a line of a tree takes on a page
_TERMS = 6  # of a topic that is shown in one line


@dataclass(frozen=True, slots=True)
class Leaf:
    """A line of a rule's tree: how deep, what it says, whether it holds, where it was found, and why not.

    `counts`: it holds, and so does all that it is part of: it is some of what makes the rule true. Only a leaf that
    counts has `numbers`, by which the story's words are marked.
    """

    depth: int
    text: str
    true: bool
    counts: bool
    leaf: bool
    numbers: tuple[int, ...]
    places: str
    note: str


@dataclass(frozen=True, slots=True)
class MatchedTopic:
    """A topic on the page: its tree, and the story's words with those that matched numbered as in the tree."""

    verdict: TopicVerdict
    rule: str
    tree: tuple[Leaf, ...]
    title: tuple[Piece, ...]
    summary: tuple[Piece, ...]
    body: tuple[tuple[Piece, ...], ...]
    cut: bool


@dataclass(frozen=True, slots=True)
class AlsoMatched:
    """One of many topics that matched, in a line: some of the terms that were found."""

    verdict: TopicVerdict
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision with what became of it (`outcomes.became`)."""

    told: Told
    became: str


@dataclass(frozen=True, slots=True)
class Apart:
    """The nearest event that a story did not join; `story` is its first one, None once retention removed it."""

    likeness: float
    shared: tuple[str, ...]
    story: Story | None


@dataclass(frozen=True, slots=True)
class StoryPage:
    """The whole journey of a story. `also` are topics that matched as well, beyond what a page takes of them whole.

    Of what retention removed: `stories_removed` of its event, and `messages_removed`, of which decisions tell.
    """

    story: Story
    page: Page | None
    sightings: Sequence[Sighting]
    matched: tuple[MatchedTopic, ...]
    also: tuple[AlsoMatched, ...]
    near: tuple[TopicVerdict, ...]
    asked: tuple[TopicVerdict, ...]
    others: int
    apart: Apart | None
    event: tuple[Story, ...]
    outlets: tuple[str, ...]
    told: tuple[Outcome, ...]
    silent: tuple[Untold, ...]
    deliveries: Sequence[Delivery]
    counts: Mapping[str, int]
    last_accepted: datetime | None
    stories_removed: int
    messages_removed: int


def story_view(app: App, found: Explained, topic: str = "") -> StoryPage:
    """Return the page of a story's journey; of the topics that matched, `topic` first."""
    journey = found.journey
    evidence = {match.topic: [Evidence(**part) for part in match.evidence] for match in journey.matches}
    rules = {match.topic: match.rule for match in journey.matches}
    verdicts = sorted((one for one in found.verdicts if one.matched), key=lambda one: one.topic != topic)
    matched: list[MatchedTopic] = []
    room = _FULL
    for verdict in verdicts:
        name = verdict.topic
        whole = _matched(journey.story, verdict, rules.get(name, ""), evidence.get(name, []))
        room -= _size(whole)
        if matched and room < 0:
            break
        matched.append(whole)
    also = tuple(
        AlsoMatched(verdict, tuple(numbers(evidence.get(verdict.topic, ())))[:_TERMS])
        for verdict in verdicts[len(matched) :]
    )
    outcomes = (
        Outcome(one, became([one.decision.reason], [Stand(row.state, row.attempts) for row in one.deliveries]))
        for one in found.told
    )
    told = tuple(sorted(outcomes, key=_order))
    best: dict[str, str] = {}  # of several decisions about one subscriber, the one that tells best
    for one in told:
        best.setdefault(one.told.decision.subscriber, one.became)
    of_story = [row for one in told for row in one.told.deliveries]
    accepted = [row.finished_at for row in of_story if row.state == "sent" and row.finished_at is not None]
    return StoryPage(
        story=journey.story,
        page=journey.page,
        sightings=journey.sightings,
        matched=tuple(matched),
        also=also,
        near=tuple(verdict for verdict in found.verdicts if verdict.near),
        asked=tuple(verdict for verdict in found.verdicts if not verdict.matched and not verdict.near),
        others=len(found.others),
        apart=_apart(app, journey.story),
        event=found.event,
        outlets=journey.outlets,
        told=told,
        silent=found.untold if journey.matches else (),
        deliveries=found.deliveries,
        counts=Counter(best.values()),
        last_accepted=max(accepted, default=None),
        stories_removed=_removed(found),
        messages_removed=sum(one.became == "gone" for one in told),
    )


def _removed(found: Explained) -> int:
    """How many stories of the event are on record no more: it counts all that it ever had."""
    event = found.journey.event
    if event is None or len(found.event) >= MOST_STORIES:
        return 0
    return max(0, event.stories - len(found.event))


def _apart(app: App, story: Story) -> Apart | None:
    refused = story.event_refused
    if refused is None:
        return None
    number = int(refused["event"])
    first = next(iter(app.store.reports.stories_of([number])[number]), None)
    return Apart(float(refused["likeness"]), tuple(refused["shared"]), first)


def _order(one: Outcome) -> tuple[tuple[int, str], str]:
    return place(one.became), one.told.decision.subscriber


def _matched(story: Story, verdict: TopicVerdict, rule: str, evidence: Sequence[Evidence]) -> MatchedTopic:
    by_term: dict[str, list[Evidence]] = {}
    for one in evidence:
        by_term.setdefault(one.term, []).append(one)
    lines = list(islice(_walk(verdict.explanation), MOST_NODES))
    # A term may hold without being what a NEAR found; where it stands is with the node then.
    here = [
        (by_term.get(node.text) if counts else None) or node.evidence if node.true and not node.children else ()
        for _, node, counts in lines
    ]
    counting = [found for (*_, counts), found in zip(lines, here, strict=True) if counts]
    evidence = tidy([*evidence, *chain.from_iterable(counting)])
    known = numbers(evidence)
    starts = {
        field: [word.start for word in words(text)]
        for field, text in (("title", story.title), ("summary", story.summary), ("text", story.text[:_BODY]))
    }
    tree = [
        Leaf(
            depth=depth,
            text=node.text,
            true=node.true,
            counts=counts,
            leaf=not node.children,
            numbers=tuple(sorted({known[label(one)] for one in found if label(one) in known})) if counts else (),
            places=_places(found, starts),
            note=node.note,
        )
        for (depth, node, counts), found in zip(lines, here, strict=True)
    ]
    summary = story.summary if story.summary != story.title else ""
    body = story.text if story.text not in (story.summary, story.title) else ""
    return MatchedTopic(
        verdict,
        rule,
        tuple(tree),
        tuple(pieces(story.title, "title", evidence, known)),
        tuple(pieces(summary, "summary", evidence, known)),
        tuple(_paragraphs(body, evidence, known)),
        len(body) > _BODY,
    )


def _size(topic: MatchedTopic) -> int:
    """About how many bytes a topic takes on a page."""
    texts = (topic.title, topic.summary, *topic.body)
    return sum(len(text.encode()) for pieces in texts for text, _ in pieces) + _A_LINE * len(topic.tree)


def _walk(node: Explanation, depth: int = 0, above: bool = True) -> Iterator[tuple[int, Explanation, bool]]:
    """Yield each node with its depth, and whether it is some of what makes the rule true."""
    counts = above and node.true
    yield depth, node, counts
    for child in node.children:
        yield from _walk(child, depth + 1, counts and node.text != "not")


_SPOKEN = {"title": "headline", "summary": "summary", "text": "text"}
_SHOWN = 4  # positions of a term


def _places(found: Sequence[Evidence], starts: dict[str, list[int]]) -> str:
    """Say where a term stands, by the number of the word: "headline 2, text 4 and 58"."""
    by_field: dict[str, dict[str, None]] = {}
    for one in found:
        if one.field in starts:
            at = sum(start <= one.start for start in starts[one.field])
            by_field.setdefault(one.field, {})[str(at)] = None
        else:
            by_field.setdefault(one.field, {})[""] = None
    said = []
    for field, places in by_field.items():
        shown = list(places)[:_SHOWN]
        more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
        said.append(f"{_SPOKEN.get(field, field)} {', '.join(shown)}".strip() + more)
    return "; ".join(said)


def _paragraphs(text: str, evidence: Sequence[Evidence], known: dict[str, int]) -> Iterator[tuple[Piece, ...]]:
    at = 0
    for number, line in enumerate(text[:_BODY].split("\n")):
        here = [one._replace(start=one.start - at, end=one.end - at) for one in evidence if one.field == "text"]
        if line.strip() and number < PARAGRAPHS * 3:
            yield tuple(pieces(line, "text", here, known))
        at += len(line) + 1

"""Polls' parsed stories → stories, sightings, matches, decisions and deliveries, in one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from monitor import models
from monitor.app import App, feeds_to_poll
from monitor.config import Config, Feed
from monitor.events import Sketch, headline_key, sketch, unlike
from monitor.models import Match, Page, Story, new_row
from monitor.parse import ParsedStory
from monitor.pipeline.placing import Placing
from monitor.pipeline.tell import Teller, as_json
from monitor.rules import Rules, TopicMatch, Verdict
from monitor.store import Ingest
from monitor.text import StoryText
from monitor.urls import host

# A claimed time counts only so far from the fetch (DESIGN.md, identity and time).
CLAIM_PAST, CLAIM_FUTURE = timedelta(days=7), timedelta(minutes=10)
PART = 50  # stories that are saved in one transaction: half a tenth of a second
SHORT = 500  # characters of feed text below which `full_text: when_short` has the page read
EDITS = 24  # of a story, after which only what brings a topic is one: some headlines flip all day (reader's limit)
SUMMARY_AFTER = 3600.0  # seconds until the summary of what was held back, for one without a limit that says


@dataclass(frozen=True, slots=True)
class Ready:
    """A parsed story on its way in: its content hash, the text rules saw (the page's, if read), its matches and why.

    `sketch` is what events compare it by, but for the time, which the transaction knows.
    """

    parsed: ParsedStory
    content_hash: str
    text: StoryText
    matches: tuple[TopicMatch, ...]
    sketch: Sketch
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a poll brought, or a part of it, and the feed's new `state`.

    `ready` are the stories that are new or changed, matched by the rules of `config`; `listed` the guids of all that
    the document has, `seen` what the next parsing is to know of them; None leaves that as it was. With `listing` it is
    recorded that it still has those that were known. Unless this is the `last` part, more is to come.
    """

    config: Config
    feed: Feed
    ready: Sequence[Ready]
    state: Mapping[str, Any]
    baseline: bool
    listed: Collection[str]
    seen: str | None = None
    listing: bool = True
    last: bool = True


@dataclass(slots=True)
class Ingested:
    """What a poll brought."""

    new: int = 0
    edited: int = 0
    matched: int = 0
    alerts: int = 0
    titles: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def add(self, other: Ingested) -> None:
        """Count in what another part brought."""
        self.new += other.new
        self.edited += other.edited
        self.matched += other.matched
        self.alerts += other.alerts
        self.titles += other.titles


def content_hash(parsed: ParsedStory) -> str:
    """Return the hash by which an edit is told: of title, summary, text and link, dates aside."""
    joined = "\x00".join((parsed.title, parsed.summary, parsed.text, parsed.url))
    return hashlib.blake2b(joined.encode(), digest_size=16).hexdigest()


def story_text(feed: Feed, parsed: ParsedStory, feed_language: str, page: str = "") -> StoryText:
    """Return a parsed story as rules see it; `page` is the text of its own page, where that was read."""
    return StoryText(
        title=parsed.title,
        summary=parsed.summary,
        text=max(page, parsed.text, key=len),
        language=parsed.language or feed.language or feed_language,
        source=(parsed.source if feed.of_many else "") or feed.source or feed.name,
        feed=feed.name,
        tags=tuple(dict.fromkeys((*feed.tags, *parsed.tags))),
        url=parsed.url,
        author=parsed.author,
        country=feed.country,
    )


def match_stories(
    rules: Rules, feed: Feed, stories: Sequence[ParsedStory], feed_language: str, pages: Mapping[str, str]
) -> list[Ready]:
    """Match `stories`, outside of any transaction, since it is the part that takes time."""
    ready = []
    for parsed in stories:
        text = story_text(feed, parsed, feed_language, pages.get(parsed.guid, ""))
        # Entities of the headline and summary: a body names many that the story is not about.
        seen, matches = sketch(text, 0.0, rules.entities(replace(text, text=""))), rules.match(text)
        ready.append(Ready(parsed, content_hash(parsed), text, matches, seen, rules.verdicts(text, matches)))
    return ready


def ingest(app: App, polls: Sequence[Incoming]) -> list[Ingested]:
    """Save what polls brought, in one transaction; return what came of each.

    As many of the first are saved as go together: of one configuration and of different feeds, with `PART` stories,
    unless the first alone has more.
    """
    polls = _alike(polls)
    found = []
    with app.store.ingest() as work:
        # Taken within the transaction: one of before it may lie in a digest's window that was closed meanwhile.
        now = app.now()
        placing = Placing(app, polls[0].config, work)
        stories = [(poll.feed, one.parsed) for poll in polls for one in poll.ready]
        sightings = work.sightings([(feed.name, one.guid) for feed, one in stories])
        work.expect({story_key(feed, one) for feed, one in stories if (feed.name, one.guid) not in sightings})
        for poll in polls:
            found.append(done := Ingested())
            saver = _Saver(app, poll, work, placing, done, now)
            if poll.last and poll.listing:
                work.listed(poll.feed.name, poll.listed, now)
            # Documents are mostly newest first; the older story of an event then leads it.
            for one in poll.ready[::-1]:
                sighting = sightings.get((poll.feed.name, one.parsed.guid))
                if sighting is None:
                    saver.first_time(one)
                elif sighting.content_hash != one.content_hash:
                    sighting.content_hash = one.content_hash
                    story = work.story(sighting.story_id)
                    if story is not None:
                        saver.changed(story, one)
        work.update_feeds([(poll.feed.name, poll.state, poll.seen) for poll in polls])
    placing.committed()
    return found


def _alike(polls: Sequence[Incoming]) -> Sequence[Incoming]:
    """Return those of the first polls that one transaction saves."""
    feeds, stories = set(), 0
    for place, poll in enumerate(polls):
        stories += len(poll.ready)
        if place and (stories > PART or poll.feed.name in feeds or poll.config is not polls[0].config):
            return polls[:place]
        feeds.add(poll.feed.name)
    return polls


def ingest_page(
    app: App,
    config: Config,
    feed: Feed,
    story: Story,
    text: StoryText,
    matches: tuple[TopicMatch, ...],
    verdicts: tuple[Verdict, ...] = (),
) -> Ingested | None:
    """Save the text of a story's page, and what matches in it, in one transaction.

    `story` is as it was when `text` was matched; where it was edited or removed meanwhile, nothing is saved and None
    returned.
    """
    done = Ingested()
    with app.store.ingest() as work:
        now = app.now()
        known = work.story(story.id)
        page = work.page(story)
        if known is None or page is None or page.due_at is None or known.content_hash != story.content_hash:
            return None
        saver = _Saver(app, Incoming(config, feed, (), {}, False, ()), work, Placing(app, config, work), done, now)
        saver.read(known, text, matches, verdicts)
        page.due_at, page.error = None, ""
    return done


def wants_page(feed: Feed, text: StoryText) -> bool:
    """Whether the page of a story is to be read, by what its feed says of it."""
    short = len(text.text or text.summary) < SHORT
    return bool(text.url) and (feed.full_text == "always" or (feed.full_text == "when_short" and short))


class _Saver:
    """Saves one poll's stories, or one page's text, within its transaction."""

    def __init__(self, app: App, poll: Incoming, work: Ingest, placing: Placing, done: Ingested, now: datetime) -> None:
        self.config, self.feed, self.listed = poll.config, poll.feed, frozenset(poll.listed)
        self.work, self.placing, self.done, self.now = work, placing, done, now
        # The feed may have been taken out of the configuration while it was being fetched.
        self.alerting = not poll.baseline and poll.feed.name in feeds_to_poll(poll.config)
        self.teller = Teller(app, poll.config, work, alerting=self.alerting, now=now)

    def first_time(self, one: Ready) -> None:
        """A guid that this feed did not have before: a new story, or one known from elsewhere."""
        key = story_key(self.feed, one.parsed)
        story = self.work.by_key(key)
        if story is not None and self._took_the_address(story, one):
            key = _own_key(self.feed, one.parsed)
            story = self.work.by_key(key)
        if story is None:
            story = self._new_story(key, one)
            self._sighting(story, one)
            self._ask_for_page(story, one)
            self.done.new += 1
            self._tell(story, one.matches, story.event_why)
            self._keep(story, one.verdicts)
            return
        told_nobody = self.work.only_baseline(story)
        # Where the feed had it before, only its guid is another now.
        again = bool(self.work.guids(story, self.feed.name))
        self._sighting(story, one, baseline=again and told_nobody)
        if not again:
            self._ask_for_page(story, one)
        if story.feed == self.feed.name and story.content_hash != one.content_hash:
            self.changed(story, one)
        elif told_nobody and self.alerting and not again:
            # So far only in first polls, which raise no alert; here it comes as news.
            self._tell(story, one.matches, "")
        else:
            self._adopt_if_it_says_more(story, one)

    def _ask_for_page(self, story: Story, one: Ready) -> None:
        """Have the page of a story read that comes as news in a feed with full text; once."""
        assert story.id is not None
        if self.alerting and wants_page(self.feed, one.text) and self.work.page(story) is None:
            self.work.add_page(Page(story_id=story.id, feed=self.feed.name, host=host(story.url), due_at=self.now))

    def read(
        self, story: Story, text: StoryText, matches: tuple[TopicMatch, ...], verdicts: tuple[Verdict, ...]
    ) -> None:
        """The story's page was read. Topics that only its text matches are news; the others were told."""
        before = self.work.matches(story)
        self.work.unindex(story)
        story.text, story.page_at = text.text, self.now
        self.work.index(story)
        found = {m.topic: as_json(m.evidence) for m in matches}
        for topic, match in before.items():
            # One that does not match the longer text keeps its match, with what stands beside the text.
            match.evidence = found.get(topic) or [one for one in match.evidence if one["field"] != "text"]
        self._tell(story, tuple(m for m in matches if m.topic not in before), "")
        self._keep(story, tuple(one for one in verdicts if one.topic not in before))

    def _took_the_address(self, story: Story, one: Ready) -> bool:
        """Whether `one` only has the address of `story`: a page that stays while the stories on it come and go.

        The document then has the other no longer, and the headline is another one. A publisher that changes its guids
        changes no headlines.
        """
        guids = self.work.guids(story, self.feed.name)
        return bool(guids) and guids.isdisjoint(self.listed) and unlike(story.title, one.text.title)

    def changed(self, story: Story, one: Ready) -> None:
        """The publisher changed the story. Topics that it did not match before are news; the others were told."""
        if story.feed != self.feed.name:
            self._adopt_if_it_says_more(story, one)
            return
        before, title = self.work.matches(story), story.title
        fresh = tuple(m for m in one.matches if m.topic not in before)
        if story.edits >= EDITS and not fresh:
            return
        self._rewrite(story, one, before)
        # First to those who were told: topics that are news to them too go into the same message.
        if title != story.title and (known := tuple(m for m in one.matches if m.topic in before)):
            self.done.alerts += self.teller.tell_again(story, known)
        self._tell(story, fresh, "")
        self._keep(story, tuple(v for v in one.verdicts if v.matched and v.topic not in before))

    def _adopt_if_it_says_more(self, story: Story, one: Ready) -> None:
        """Another feed's version of a known story: taken over when rules find more in it than in ours."""
        before = self.work.matches(story)
        more = tuple(m for m in one.matches if m.topic not in before)
        if more:
            self._rewrite(story, one, before)
            self._tell(story, more, "")
            self._keep(story, tuple(v for v in one.verdicts if v.matched and v.topic not in before))

    def _rewrite(self, story: Story, one: Ready, before: Mapping[str, Match]) -> None:
        if story.page_at is not None and one.text.text != story.text:
            # Matched without what the page said, which is to be read anew.
            story.page_at = None
            if (page := self.work.page(story)) is not None:
                page.due_at, page.tries = self.now, 0
        self.work.unindex(story)
        story.title, story.summary, story.text = one.text.title, one.text.summary, one.text.text
        self.work.index(story)
        story.url, story.author = one.text.url or story.url, one.text.author
        story.title_fold = headline_key(one.text.title)
        story.content_hash = one.content_hash
        story.edits += 1
        story.edited_at = self.now
        self.done.edited += 1
        # Spans point into the text as it stands; a topic that matched an earlier version keeps its match without any.
        evidence = {m.topic: as_json(m.evidence) for m in one.matches}
        for topic, match in before.items():
            match.evidence = evidence.get(topic, [])

    def _new_story(self, key: str, one: Ready) -> Story:
        claimed = one.parsed.published
        plausible = claimed is not None and -CLAIM_PAST <= claimed - self.now <= CLAIM_FUTURE
        story = new_row(
            Story,
            key=key,
            feed=self.feed.name,
            source=one.text.source,
            url=one.text.url,
            title=one.text.title,
            title_fold=headline_key(one.text.title),
            summary=one.text.summary,
            text=one.text.text,
            author=one.text.author,
            language=one.text.language,
            country=one.text.country,
            tags=list(one.text.tags),
            published_raw=one.parsed.published_raw[:200],
            claimed_at=claimed,
            first_seen_at=self.now,
            effective_at=min(claimed, self.now) if claimed is not None and plausible else self.now,
            date_doubtful=not plausible,
            content_hash=one.content_hash,
        )
        return self.placing.save(story, one.sketch, self.now)

    def _tell(self, story: Story, matches: tuple[TopicMatch, ...], why: str) -> None:
        """Tell of a story; `matches` are the topics that are news."""
        self.done.titles.append((story.title, tuple(m.topic for m in matches)))
        self.teller.record_policy()  # which also says why nobody was told of a story that matches nothing
        if matches:
            self.done.matched += 1
            self.done.alerts += self.teller.tell(story, matches, why)

    def _sighting(self, story: Story, one: Ready, *, baseline: bool = False) -> None:
        baseline = baseline or not self.alerting
        self.work.add_sighting(story, self.feed.name, one.parsed.guid, one.content_hash, self.now, baseline)

    def _keep(self, story: Story, verdicts: Sequence[Verdict]) -> None:
        """Record why topics matched or came close."""
        assert story.id is not None
        for one in verdicts:
            self.work.add(
                models.Verdict(
                    story_id=story.id,
                    topic=one.topic,
                    rule=one.rule,
                    matched=one.matched,
                    note=one.note,
                    tree=one.tree,
                    decided_at=self.now,
                )
            )


def story_key(feed: Feed, parsed: ParsedStory) -> str:
    """Return a story's identity across feeds: its canonical link; where it has none of its own, its guid or content."""
    return f"url:{parsed.key_url}" if parsed.key_url else _own_key(feed, parsed)


def _own_key(feed: Feed, parsed: ParsedStory) -> str:
    """The identity of a story without link of its own."""
    if parsed.guid.startswith("hash:"):
        return parsed.guid
    return f"guid:{feed.name}|{parsed.guid}"

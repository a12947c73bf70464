"""The demo's newswire and configuration show what the demo promises, and the rules agree with the labels."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from sqlmodel import select

from monitor.config import Config, Feed, load_config
from monitor.demo import CONFIG
from monitor.demo.newswire import Newswire, Outlet, Story, load
from monitor.dispatch import Alert, Change, Digest
from monitor.models import Decision, Match
from monitor.models import Story as Recorded
from monitor.parse import ParsedFeed, ParsedStory, parse_feed
from monitor.pipeline import digest_due, schedule_slots
from monitor.pipeline.outgoing import value_of
from monitor.rules import Rules, compile_rules, run_examples
from monitor.text import StoryText, clean
from tests.pipe import Pipe

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
BASE = "http://127.0.0.1:8099"
END = 60.0
OUTLETS = tuple(load().outlets)
MOMENTS = (0.0, 6.0, 13.3, 18.4, END)

ENVIRONMENT = {
    "DEMO_HTTP": BASE,
    "DEMO_MAIL": "mailto://127.0.0.1:2525/?from=news@corvid.example",
    "DEMO_SLACK": "json://127.0.0.1:8098/slack",
    "DEMO_DIGEST_AT": "09:02",
    "DEMO_DIGEST_AT_AMMAN": "12:02",
}


@pytest.fixture(scope="module")
def newswire() -> Newswire:
    return load()


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(CONFIG, ENVIRONMENT)


@pytest.fixture(scope="module")
def rules(config: Config) -> Rules:
    return compile_rules(config)


def parsed(newswire: Newswire, outlet: str, at: float) -> ParsedFeed:
    body, content_type = newswire.document(outlet, at, BASE, START)
    return parse_feed(body, f"{BASE}/{newswire.outlets[outlet].path}", content_type)


def by_title(newswire: Newswire) -> dict[str, list[Story]]:
    groups = defaultdict(list)
    for story in newswire.stories:
        groups[story.title].append(story)
    return groups


def seen_by_rules(story: ParsedStory, outlet: Outlet, feed: Feed) -> StoryText:
    """The story as the program shows it to the rules after a poll."""
    return StoryText(
        id=story.guid,
        title=story.title,
        summary=story.summary,
        text=story.text,
        language=feed.language,
        source=feed.source,
        feed=outlet.id,
        tags=(*feed.tags, *story.tags),
        url=story.url,
        author=story.author,
        country=feed.country,
    )


# --- the stories


def test_the_newswire_is_large_and_speaks_several_languages(newswire: Newswire) -> None:
    languages = {story.outlet.language for story in newswire.stories}
    assert len(newswire.stories) >= 66
    assert languages == {"en", "es", "ar", "fr", "ru", "zh"}
    assert len({story.outlet.id for story in newswire.stories}) == len(newswire.outlets) >= 8


def test_every_format_is_published_and_one_outlet_is_malformed(newswire: Newswire) -> None:
    assert {outlet.format for outlet in newswire.outlets.values()} == {"rss2", "atom", "rdf", "jsonfeed"}
    assert {outlet.encoding for outlet in newswire.outlets.values()} == {"utf-8", "iso-8859-1", "windows-1251"}
    assert [outlet.id for outlet in newswire.outlets.values() if outlet.malformed] == ["lantern-gazette"]


def test_every_outlet_has_a_baseline_and_the_rest_comes_within_the_demo(newswire: Newswire) -> None:
    baseline = [story for story in newswire.stories if story.at == 0]
    assert {story.outlet.id for story in baseline} == set(newswire.outlets)
    assert 12 <= len(baseline) <= 16
    assert all(3 <= story.at <= 25 for story in newswire.stories if story.at > 0)
    assert newswire.duration <= 25


def test_a_headline_runs_verbatim_in_four_outlets_and_four_more_in_two_or_three(newswire: Newswire) -> None:
    copies = {
        title: {story.outlet.id for story in group} for title, group in by_title(newswire).items() if len(group) > 1
    }
    assert len(copies["Varkan interior troops take over two Kolva river crossings"]) == 4
    assert sum(1 for outlets in copies.values() if len(outlets) == 3) >= 3
    assert copies["Un terremoto de magnitud 6,4 sacude la costa de Almarena"] == {
        "el-faro-de-calandra",
        "la-voz-de-almarena",
    }
    for title, group in by_title(newswire).items():
        assert len({story.outlet.id for story in group}) == len(group), f"{title} twice in one outlet"


@pytest.mark.parametrize(
    "words",
    [
        "Border collie",
        "Chess federation sanctions",
        "flood of nostalgia",
        "Bank holiday",
        "elects team captain",
        "deploys new software",
    ],
)
def test_some_stories_only_look_like_a_match(newswire: Newswire, words: str) -> None:
    look_alikes = [story for story in newswire.stories if words in story.title]
    assert look_alikes
    assert {story.topics for story in look_alikes} == {()}


def test_every_topic_has_stories_in_at_least_four_languages(newswire: Newswire, config: Config) -> None:
    for topic in config.topics:
        languages = {story.outlet.language for story in newswire.stories if topic in story.topics and story.at > 0}
        assert len(languages) >= 4, topic


def test_links_are_unique_and_lead_to_names_that_cannot_exist(newswire: Newswire) -> None:
    urls = [story.url for story in newswire.stories]
    assert len(set(urls)) == len(urls)
    assert all(outlet.host.endswith(".example") for outlet in newswire.outlets.values())


# --- what its readers get


@pytest.fixture(scope="module")
def told(newswire: Newswire, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipe]:
    """The demo without servers: every second each outlet's document is read, up to the digests."""
    files = {}
    for path in CONFIG.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        files[path.stem] = re.sub(r"\$\{(DEMO_\w+)\}", lambda found: ENVIRONMENT[found[1]], text)
    pipe = Pipe(tmp_path_factory.mktemp("demo"), START, **files)
    schedule_slots(pipe.app, pipe.app.config, pipe.time)
    for second in range(27):
        pipe.time = START + timedelta(seconds=second + 1)
        for outlet in newswire.outlets:
            stories = parsed(newswire, outlet, float(second)).stories
            pipe.put(outlet, *stories, baseline=second == 0)
    pipe.time = START + timedelta(minutes=2)
    digest_due(pipe.app)
    yield pipe
    pipe.close()


def alerts(pipe: Pipe, subscriber: str, words: str) -> list[Alert]:
    rows = [row for row in pipe.deliveries("alert") if row.subscriber == subscriber]
    values = [value for row in rows if isinstance(value := value_of(row), Alert)]
    return [value for value in values if words in value.story.title]


def test_near_copies_are_told_once(told: Pipe) -> None:
    copies = alerts(told, "ruth", "Varkan interior troops take over")
    assert [value.opening for value in copies if not value.news] == [None]
    assert len(copies) <= 2  # the other says that many have it
    assert len(alerts(told, "ruth", "detains tanker Ardent Lark")) == 1
    assert sum(row.reason == "already told" for row in told.rows(Decision)) > 15


def test_something_material_is_told_in_the_thread_of_the_first_alert(told: Pipe) -> None:
    (first,), (update,) = (
        alerts(told, "ruth", words) for words in ("detains tanker Ardent Lark", "arrests 4 officers")
    )
    assert update.news == (Change("fact", "4", "", "arrested"),)
    assert update.opening is not None
    assert update.opening.title == first.story.title
    assert update.story.event_key == first.story.event_key  # which References is made of


def test_the_digest_leads_with_the_story_of_the_day_and_no_event_holds_all_of_one_country(told: Pipe) -> None:
    digest = next(value_of(row) for row in told.deliveries("digest") if row.subscriber == "ruth")
    assert isinstance(digest, Digest)
    leads = {section.topic.name: section.stories[0] for section in digest.sections}
    assert len(leads) == 6
    assert leads["border-deployments"].title == "Varkan interior troops take over two Kolva river crossings"
    assert len(leads["border-deployments"].others) >= 3
    assert leads["natural-disasters"].title == "Un terremoto de magnitud 6,4 sacude la costa de Almarena"
    topics: dict[int, set[str]] = defaultdict(set)
    with told.app.store.read() as session:
        for event, topic in session.exec(select(Recorded.event_id, Match.topic).join(Match)):
            topics[event or 0].add(topic)
    assert not [found for found in topics.values() if {"elections", "central-banks", "natural-disasters"} <= found]


# --- the documents


@pytest.mark.parametrize("at", MOMENTS)
@pytest.mark.parametrize("outlet", OUTLETS)
def test_a_document_parses_to_exactly_the_stories_published_by_then(newswire: Newswire, outlet: str, at: float) -> None:
    expected = [story for story in newswire.stories if story.outlet.id == outlet and story.at <= at]
    feed = parsed(newswire, outlet, at)
    assert feed.readable
    assert feed.title == newswire.outlets[outlet].name
    assert sorted(story.url for story in feed.stories) == sorted(story.url for story in expected)
    titles = {story.url: story.title for story in feed.stories}
    for story in expected:
        edited = story.updated_at is not None and story.updated_at <= at
        assert titles[story.url] == clean(story.updated_title if edited else story.title)


def test_stories_come_newest_first(newswire: Newswire) -> None:
    published = [story.at for story in newswire.published("kestrel-daily", END)]
    assert published == sorted(published, reverse=True)
    slugs = [story.url.rsplit("/", 1)[1] for story in parsed(newswire, "kestrel-daily", 5.0).stories]
    assert slugs == ["varkan-troops-kolva", "by-elections-guide", "pear-and-barley-pie"]


def test_the_update_changes_title_and_summary_under_the_same_guid(newswire: Newswire) -> None:
    [story] = [story for story in newswire.stories if story.updated_at is not None]
    assert story.updated_at is not None
    before, after = (
        next(s for s in parsed(newswire, story.outlet.id, at).stories if s.url == story.url)
        for at in (story.updated_at - 0.1, story.updated_at)
    )
    assert before.title == "Varka calls its troop deployment on the frontier a three-day exercise"
    assert after.title == "Varka extends its troop deployment on the frontier to three weeks"
    assert before.summary != after.summary
    assert before.guid == after.guid == story.guid
    assert before.published == after.published


@pytest.mark.parametrize("outlet", OUTLETS)
def test_a_document_changes_only_when_its_outlet_publishes(newswire: Newswire, outlet: str) -> None:
    moments = {story.at for story in newswire.stories if story.outlet.id == outlet}
    moments |= {
        story.updated_at for story in newswire.stories if story.outlet.id == outlet and story.updated_at is not None
    }
    ticks = [tick / 10 for tick in range(300)]
    bodies = {newswire.document(outlet, tick, BASE, START)[0] for tick in ticks}
    assert len(bodies) == len(moments)


def test_the_malformed_outlet_is_not_xml_and_the_other_documents_are(newswire: Newswire) -> None:
    for outlet in newswire.outlets.values():
        body, content_type = newswire.document(outlet.id, END, BASE, START)
        assert content_type.endswith(f"charset={outlet.encoding}")
        if outlet.malformed:
            with pytest.raises(ElementTree.ParseError):
                ElementTree.fromstring(body)
        elif outlet.format == "jsonfeed":
            assert json.loads(body)["version"] == "https://jsonfeed.org/version/1.1"
        else:
            assert ElementTree.fromstring(body).tag


@pytest.mark.parametrize(
    ("outlet", "word"),
    [("ostrel-herald", "Войска".encode("cp1251")), ("messager-de-corvanne", "déploie".encode("latin-1"))],
)
def test_the_old_encodings_are_really_used(newswire: Newswire, outlet: str, word: bytes) -> None:
    assert word in newswire.document(outlet, END, BASE, START)[0]


def test_dates_are_the_demos_own_except_one_wrong_and_one_missing(newswire: Newswire) -> None:
    off = {}
    for outlet in newswire.outlets:
        dates = {story.url: story.published for story in parsed(newswire, outlet, END).stories}
        for story in newswire.published(outlet, END):
            true = (START + timedelta(seconds=story.at)).replace(microsecond=0)
            if dates[story.url] != true:
                off[story.slug] = dates[story.url]
    assert off == {"smoke-closes-schools": datetime(2031, 3, 1, 9, 0, tzinfo=UTC), "mudslide-vessin": None}


def test_one_story_has_no_guid(newswire: Newswire) -> None:
    assert [story.slug for story in newswire.stories if not story.guid] == ["lost-parrot"]
    body, _ = newswire.document("lantern-gazette", END, BASE, START)
    assert body.count(b"<item>") == body.count(b"<guid") + 1


def test_the_hostile_story_is_published_as_it_is(newswire: Newswire) -> None:
    body = newswire.document("lantern-gazette", END, BASE, START)[0].decode()
    for trap in ("=?utf-8?q?Soldiers?=", "\u202egpj.exe", "&lt;script&gt;alert", "onerror="):
        assert trap in body


# --- the configuration


def test_the_configuration_is_valid_without_warnings_and_its_examples_hold(config: Config, rules: Rules) -> None:
    assert [str(problem) for problem in config.problems] == []
    assert [str(problem) for problem in run_examples(config, rules)] == []
    assert all(topic.examples.match and topic.examples.no_match for topic in config.topics.values())


def test_every_outlet_is_polled_at_its_own_address(config: Config, newswire: Newswire) -> None:
    assert {name: (feed.url, feed.source, feed.language, feed.country) for name, feed in config.feeds.items()} == {
        outlet.id: (f"{BASE}/{outlet.path}", outlet.name, outlet.language, outlet.country)
        for outlet in newswire.outlets.values()
    }
    assert {feed.every for feed in config.feeds.values()} == {1.0}


def test_three_subscribers_each_get_a_digest_and_two_get_alerts(config: Config) -> None:
    assert {name: reader.digest.at for name, reader in config.subscribers.items() if reader.digest is not None} == {
        "ruth": ("09:02",),
        "desk": ("09:02",),
        "omar": ("12:02",),
    }
    alerts = {
        name: [topic for subscription in reader.subscriptions if subscription.alert for topic in subscription.topics]
        for name, reader in config.subscribers.items()
    }
    assert alerts == {
        "ruth": ["border-deployments", "sanctions"],
        "desk": ["border-deployments", "sanctions", "natural-disasters"],
        "omar": [],
    }


@pytest.mark.parametrize("at", [18.3, END])
@pytest.mark.parametrize("outlet", OUTLETS)
def test_the_rules_say_of_every_story_exactly_what_its_label_says(
    newswire: Newswire, config: Config, rules: Rules, outlet: str, at: float
) -> None:
    labels = {story.url: set(story.topics) for story in newswire.published(outlet, at)}
    found = {
        story.url: {
            match.topic for match in rules.match(seen_by_rules(story, newswire.outlets[outlet], config.feeds[outlet]))
        }
        for story in parsed(newswire, outlet, at).stories
    }
    assert found == labels

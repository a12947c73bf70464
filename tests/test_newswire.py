"""The demo's newswire and configuration show what the demo promises, and the rules agree with the labels."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from monitor.config import Config, Feed, load_config
from monitor.demo import CONFIG
from monitor.demo.newswire import Newswire, Outlet, Story, load
from monitor.parse import ParsedFeed, ParsedStory, parse_feed
from monitor.rules import Rules, compile_rules, run_examples
from monitor.text import StoryText, clean

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
    assert slugs == ["varkan-troops-kolva", "river-districts-guide", "pear-and-barley-pie"]


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

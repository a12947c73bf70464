"""The configuration in `config/` is worth using as it stands: it loads, says what it means, passes its own examples."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from monitor.config import Config, load_config
from monitor.rules import Rules, compile_rules, run_examples
from monitor.text import StoryText

CONFIG = Path(__file__).resolve().parent.parent / "config"
TOPICS = [
    "border-deployments",
    "troop-deployments",
    "sanctions",
    "elections",
    "natural-disasters",
    "shipping-disruption",
    "central-banks",
    "mergers",
]
REGIONS = {"europe", "middle-east", "africa", "asia", "north-america", "latin-america", "oceania"}


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(CONFIG, {})


@pytest.fixture(scope="module")
def rules(config: Config) -> Rules:
    return compile_rules(config)


def scripts(text: str) -> set[str]:
    """The scripts of the letters of `text`: the first word of each letter's Unicode name."""
    return {unicodedata.name(letter, "?").split()[0] for letter in text if letter.isalpha()}


def test_it_loads_without_any_variable_set_and_without_a_warning(config: Config) -> None:
    assert config.problems == ()


def test_every_example_of_every_topic_passes(config: Config, rules: Rules) -> None:
    assert run_examples(config, rules) == ()


def test_settings_that_are_all_commented_out_are_the_defaults(config: Config, tmp_path: Path) -> None:
    for name in ("feeds", "entities", "topics", "subscribers"):
        (tmp_path / f"{name}.yaml").write_text((CONFIG / f"{name}.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "monitor.yaml").write_text("", encoding="utf-8")
    assert load_config(tmp_path, {}).settings == config.settings


def test_the_values_shown_in_comments_are_the_defaults(config: Config, tmp_path: Path) -> None:
    shown = re.sub(r"(?m)^# (?=[a-z_]+: )", "", (CONFIG / "monitor.yaml").read_text(encoding="utf-8"))
    unset = ("secret_key", "mail_from", "operators", "channels", "web")  # examples of what has no default
    kept = [line for line in shown.splitlines() if not line.startswith(unset) and not line.startswith(("#", " "))]
    assert len([line for line in kept if line]) >= 8
    for name in ("feeds", "entities", "topics", "subscribers"):
        (tmp_path / f"{name}.yaml").write_text((CONFIG / f"{name}.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "monitor.yaml").write_text("\n".join(kept), encoding="utf-8")
    assert load_config(tmp_path, {}).settings == config.settings


def test_feeds_cover_the_world_in_many_languages(config: Config) -> None:
    assert len(config.feeds) >= 38
    assert {feed.language for feed in config.feeds.values()} >= {"en", "es", "fr", "de", "ru", "ar", "zh", "pt", "ja"}
    assert {tag for feed in config.feeds.values() for tag in feed.tags} >= REGIONS | {"institution", "shipping"}


def test_every_feed_is_polled_over_https_at_an_address_of_its_own(config: Config) -> None:
    addresses = [urlsplit(str(feed.url)) for feed in config.feeds.values()]
    assert {address.scheme for address in addresses} == {"https"}
    assert all(re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", address.hostname or "") for address in addresses)
    assert not [address for address in addresses if (address.hostname or "").endswith(("example.org", "example"))]
    assert len({str(feed.url) for feed in config.feeds.values()}) == len(config.feeds)


def test_every_feed_names_its_publisher_its_language_and_its_tags(config: Config) -> None:
    bare = [f.name for f in config.feeds.values() if not (f.source and re.fullmatch("[a-z]{2}", f.language) and f.tags)]
    assert bare == []


def test_entities_are_known_in_several_scripts(config: Config) -> None:
    assert len(config.entities) >= 60
    everywhere = set().union(*(scripts(" ".join(entity.aliases)) for entity in config.entities.values()))
    assert everywhere >= {"LATIN", "CYRILLIC", "ARABIC", "CJK", "HEBREW", "GREEK", "KATAKANA", "DEVANAGARI"}
    places = [entity for entity in config.entities.values() if entity.kind == "place"]
    assert [e.name for e in places if len(scripts(" ".join(e.aliases))) < 3] == []


@pytest.mark.parametrize(
    ("headline", "entity", "named"),
    [
        ("Зеленский прибыл в Берлин", "volodymyr-zelenskyy", True),
        ("الأمم المتحدة تدعو إلى هدنة", "un", True),
        ("油轮驶离霍尔木兹海峡", "strait-of-hormuz", True),
        ("La OTAN se reúne en Bruselas", "nato", True),
        ("They told us so", "united-states", False),
        ("Guess who is back", "who", False),
        ("震中位于县城以北约50公里", "nato", False),
    ],
)
def test_an_entity_is_found_by_its_names_and_not_by_everyday_words(
    rules: Rules, headline: str, entity: str, named: bool
) -> None:
    assert (entity in rules.entities(StoryText(title=headline))) is named


def test_there_are_eight_topics_each_with_examples_for_and_against(config: Config) -> None:
    assert list(config.topics) == TOPICS
    assert [t.name for t in config.topics.values() if min(len(t.examples.match), len(t.examples.no_match)) < 12] == []


def test_every_topic_shows_what_it_finds_and_leaves_in_several_scripts(config: Config) -> None:
    wanted = {"LATIN", "CYRILLIC", "ARABIC", "CJK"}
    for topic in config.topics.values():
        assert scripts(" ".join(example.title for example in topic.examples.match)) >= wanted, topic.name
        assert len(scripts(" ".join(example.title for example in topic.examples.no_match)) & wanted) >= 2, topic.name


def test_both_ways_of_writing_a_topic_are_shown(config: Config) -> None:
    assert [t.name for t in config.topics.values() if t.query and not t.all and not t.any]
    assert [t.name for t in config.topics.values() if t.all and t.near and t.none and not t.query]


@pytest.mark.parametrize(
    ("title", "source", "topics"),
    [
        ("M 6.9 - 40 km SW of Port-Olry, Vanuatu", "usgs-significant-quakes", ["natural-disasters"]),
        ("Green earthquake alert (Magnitude 4.9M) in Tonga", "gdacs-alerts", []),
        ("Orange tropical cyclone alert in Madagascar", "gdacs-alerts", ["natural-disasters"]),
    ],
)
def test_the_two_disaster_feeds_are_taken_by_their_own_words(
    rules: Rules, title: str, source: str, topics: list[str]
) -> None:
    assert [match.topic for match in rules.match(StoryText(title=title, feed=source))] == topics


def test_a_story_in_spanish_is_no_embargo_because_of_however(rules: Rules) -> None:
    story = StoryText(title="Sube el petróleo; sin embargo, el embargo no llega", language="es")
    assert "sanctions" not in [match.topic for match in rules.match(story)]


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("troop-deployments", "Two brigades were deployed to the coast."),
        ("sanctions", "The bloc also extended its sanctions."),
        ("central-banks", "The central bank left its key rate unchanged."),
        ("mergers", "The merger with its rival was completed in March."),
    ],
)
def test_what_a_long_report_mentions_in_passing_is_not_its_topic(rules: Rules, topic: str, said: str) -> None:
    filler = "The harbour master spoke at length about the weather and the tides of the past season. " * 8
    first, last = StoryText(title="Report", text=said + " " + filler), StoryText(title="Report", text=filler + said)
    assert topic in [match.topic for match in rules.match(first)]
    assert topic not in [match.topic for match in rules.match(last)]


@pytest.mark.parametrize(
    ("title", "deployed"),
    [
        ("Estonia asks allies to station tanks near its airfields, soldiers to follow", True),
        ("Denmark sends thirty tanks to its ally", False),
        ("Navy ships sail for the Gulf", True),
        ("Drills by the navy send a warning", False),
        ("以军称打击武装人员集结点", False),
    ],
)
def test_a_deployment_is_people_sent_and_not_arms_given_or_places_shelled(
    rules: Rules, title: str, deployed: bool
) -> None:
    assert ("troop-deployments" in [match.topic for match in rules.match(StoryText(title=title))]) is deployed


def test_subscribers_are_examples_switched_off(config: Config) -> None:
    assert [subscriber.enabled for subscriber in config.subscribers.values()] == [False, False]

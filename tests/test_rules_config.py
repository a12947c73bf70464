"""Rules and their operators: why a story is missed, mistakes in the files, examples, warnings."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import Config, Entity, Example, Examples, Feed, Scope, Topic, load_config
from monitor.errors import ConfigError, NotFoundError, Problem, QueryError
from monitor.rules import Explanation, compile_query, compile_rules, run_examples, too_common, warnings
from monitor.text import StoryText

CONFIG = Config(macros={"noise": "NOT football", "military": "troops"})
GROUPS = [{"any": ["border", "buffer zone"]}, {"any": ["troops", "soldier*"]}]


def story(title: str = "", summary: str = "", *, language: str = "") -> StoryText:
    return StoryText(title=title, summary=summary, language=language)


def topic(name: str = "t", **values: Any) -> Topic:
    return Topic.model_validate({"name": name, **values})


# --- explanations


def lines(node: Explanation, depth: int = 0) -> list[str]:
    own = f"{'  ' * depth}{'+' if node.true else '-'} {node.text}" + (f" ({node.note})" if node.note else "")
    return [own, *(line for child in node.children for line in lines(child, depth + 1))]


NEARNESS = [
    ("a NEAR/2 b", "b x x x a x x x x b", "closest pair 3 words apart: `b` and `a`, words 1 and 5 of the title"),
    ("a NEAR/2 b", "a", "absent: b"),
    ("a NEAR/2 (b OR c)", "x", "absent: a and b, c"),
    ("a ONEAR/2 b", "b a", "only in the other order: `b` and `a`, words 1 and 2 of the title"),
    ("a ONEAR/2 b", "b a x x x b", "closest pair 3 words apart: `a` and `b`, words 2 and 6 of the title"),
    ("a NEAR/1 b NEAR/1 c", "b c x a x b x c",
     "closest together 2 words apart: `b`, `c` and `a`, words 1, 2 and 4 of the title"),
    ("a ONEAR/1 b ONEAR/1 c", "b c a", "only in another order: `b`, `c` and `a`, words 1, 2 and 3 of the title"),
    ("ATLEAST/3(a)", "a x a", "2 of 3 times"),
    ("SENTENCE(aa AND bb)", "Aa. Bb.", "in no single sentence"),
    ("a OR b", "x", "none occurs: a, b"),
    ("a", "x", "does not occur"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "title", "note"), NEARNESS)
def test_a_miss_says_what_is_absent_or_how_near_it_came(query: str, title: str, note: str) -> None:
    explanation = compile_query(query, CONFIG).explain(story(title), "query")
    assert (explanation.true, explanation.note) == (False, note)


def test_of_a_near_that_holds_is_told_too_where_the_closest_pair_stands() -> None:
    rules = compile_query('"interior troops" NEAR/9 (border OR frontier)', CONFIG)
    text = story("Frontier closed", "A border far from a post: the interior troops say that no border is closed")
    explanation = rules.explain(text, "query")
    pair = '`"interior troops"` and `border`, words 8 and 13 of the summary'
    assert (explanation.true, explanation.note) == (True, f"closest pair 3 words apart: {pair}")
    beside = rules.explain(story("", "No border, interior troops say"), "query")
    assert beside.note == 'closest pair side by side: `border` and `"interior troops"`, words 2 and 3 of the summary'


@given(st.lists(st.sampled_from("abcx"), max_size=14), st.booleans())
def test_the_closest_are_those_at_which_a_near_begins_to_hold(written: list[str], ordered: bool) -> None:
    near = "ONEAR" if ordered else "NEAR"
    text = story(" ".join(written))

    def holds(distance: int) -> bool:
        return bool(compile_query(f"a {near}/{distance} b {near}/{distance} c", CONFIG).match(text))

    least = next((distance for distance in range(len(written)) if holds(distance)), None)
    note = compile_query(f"a {near}/1 b {near}/1 c", CONFIG).explain(text, "query").note
    if least is None:
        assert note.startswith(("absent", "only in another order"))
        return
    assert note.startswith(f"closest together {least} word" if least else "closest together side by side")
    named, places = re.findall(r"`(\w)`", note), [int(number) for number in re.findall(r"\d+", note.rpartition(":")[2])]
    assert [written[place - 1] for place in places] == named
    assert sorted(named) == ["a", "b", "c"]
    assert places[-1] - places[0] - 1 == least


def test_a_miss_of_an_entity_tells_of_weak_aliases_out_of_context() -> None:
    config = Config(entities=entity("petro", weak=["Petrito"], context=["Colombia"]))
    rules = compile_query("@petro", config)
    assert rules.explain(story("Petrito speaks"), "query").note == (
        "does not occur: `Petrito` is a weak alias, and no word of its context is in the story"
    )
    assert rules.explain(story("Nobody speaks"), "query").note == "does not occur"
    assert rules.explain(story("Petrito speaks", "Colombia"), "query").true


def test_a_scope_tells_when_the_language_was_detected() -> None:
    declared = topic(query="x", scope={"languages": ["en"]})
    rules = compile_rules(Config(topics={"t": declared}))
    text = story("El presidente viajó ayer a la frontera para hablar con los soldados")
    assert rules.explain(text, "t").note == "its language es (as detected) is not one of en"


def test_words_in_different_fields_are_never_near() -> None:
    explanation = compile_query("a NEAR/2 b", CONFIG).explain(story("a", "b"), "query")
    assert explanation.note == "never in the same part of the story"


def test_an_explanation_is_the_tree_with_each_nodes_truth() -> None:
    declared = topic(all=GROUPS, none=["football", "title:collie"], scope={"languages": ["en"]})
    rules = compile_rules(Config(topics={"t": declared}))
    text = story("Border collie", "Soldiers wait")
    assert lines(rules.explain(text, "t")) == [
        "- all of",
        "  + any of",
        "    + border",
        '    - "buffer zone" (does not occur)',
        "  + any of",
        "    - troops (does not occur)",
        "    + soldier*",
        "  - not (found: `collie` in title)",
        "    + any of",
        "      - football (does not occur)",
        "      + title:",
        "        + collie",
    ]
    (soldiers,) = rules.explain(text, "t").children[1].evidence
    assert (soldiers.field, soldiers.start, soldiers.end) == ("summary", 0, 8)
    outside = rules.explain(story("Border", language="de"), "t")
    assert (outside.true, outside.note) == (False, "its language de is not one of en")


def test_explaining_an_unknown_topic_is_an_error() -> None:
    with pytest.raises(NotFoundError, match="no topic `zzz`"):
        compile_query("x", CONFIG).explain(story(), "zzz")


# --- mistakes in files

TopicsFile = Callable[[str], Config]


@pytest.fixture
def topics_file(tmp_path: Path) -> TopicsFile:
    """Load a configuration with the given topics.yaml and a few entities."""

    def load(text: str) -> Config:
        (tmp_path / "topics.yaml").write_text(text, encoding="utf-8")
        entities = "entities:\n  sudan: {name: Sudan}\n  may: {name: Theresa May, aliases: [May, Total, US, '…']}\n"
        (tmp_path / "entities.yaml").write_text(entities, encoding="utf-8")
        feeds = "feeds:\n  one: {url: 'https://one.example/feed', language: en, tags: [world]}\n"
        (tmp_path / "feeds.yaml").write_text(feeds, encoding="utf-8")
        (tmp_path / "subscribers.yaml").write_text("subscribers: {}\n", encoding="utf-8")
        return load_config(tmp_path, {})

    return load


def problems(config: Config) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        compile_rules(config)
    return list(caught.value.problems)


def test_every_mistake_is_told_once_at_its_character_in_the_file(topics_file: TopicsFile) -> None:
    config = topics_file(
        """\
macros:
  good: troops OR soldiers
  bad: troops OR OR soldiers
  worse: $bad OR tanks
  one: $two OR a
  two: b OR $one
topics:
  folded:
    query: >-
      (border OR frontier)
      AND troops XOR
      soldiers
  quoted:
    query: "border AND @sudann"
  plain:
    query: titel:border
  uses-bad:
    query: $bad AND border
  uses-worse:
    any: [$worse]
  lists:
    all:
      - any: [border, de*]
      - any: [troops, "$gud"]
      - x AND y OR z
    none: [a b, (]
  near:
    all: [border, a AND b]
    near: 20
  empty-handed:
    any: ["NOT a"]
"""
    )
    told = [(p.line, p.column, p.message.split("\n")[0]) for p in problems(config)]
    assert told == [
        (3, 15, "OR has nothing after it before `OR`"),
        (5, 8, "macros in a circle: $two → $one → $two"),
        (11, 18, "unknown operator `XOR`"),
        (14, 24, "unknown entity or list `@sudann`"),
        (16, 12, "unknown field `titel:`"),
        (23, 23, "`de*` has 2 letters before the `*`, and it needs 3"),
        (24, 24, "unknown macro `$gud`"),
        (25, 17, "AND and OR in one group: which comes first?"),
        (26, 17, "this parenthesis is never closed"),
        (28, 19, "NEAR cannot stand around AND"),
        (31, 5, "the topic only says what a story must not have"),
    ]
    assert {Path(p.file).name for p in problems(config)} == {"topics.yaml"}
    assert all(p.level == "error" and p.fix for p in problems(config))


def test_a_problem_shows_the_query_with_a_caret(topics_file: TopicsFile) -> None:
    (problem,) = problems(topics_file("topics:\n  t:\n    query: border ADJ troops\n"))
    assert problem.message.split("\n")[1:3] == ["    border ADJ troops", "           ^^^"]
    assert problem.fix == "write `border ONEAR/0 troops`"
    assert str(problem).splitlines()[-1] == "Fix: write `border ONEAR/0 troops`"


def test_a_topic_that_only_forbids_is_told_at_its_query(topics_file: TopicsFile) -> None:
    (problem,) = problems(topics_file("topics:\n  t:\n    query: NOT border\n"))
    assert (problem.line, problem.column) == (3, 12)
    assert "only says what a story must not have" in problem.message


def test_a_topic_made_without_a_file_still_tells_its_problem() -> None:
    nothing, lone = topic("nothing"), topic("lone", all=[{"any": ["a"]}], near=5)
    told = [p.message for p in problems(Config(topics={"nothing": nothing, "lone": lone}))]
    assert told[0] == "the topic says nothing of what it follows"
    assert "there are not two" in told[1]


def test_an_ad_hoc_query_raises_its_mistake() -> None:
    with pytest.raises(QueryError, match="unknown macro `\\$militry`"):
        compile_query("$militry AND border", CONFIG)
    with pytest.raises(QueryError, match="only says"):
        compile_query("$noise", CONFIG)


# --- examples and warnings


def test_a_failing_example_is_told_at_its_place_with_the_reason(topics_file: TopicsFile) -> None:
    config = topics_file(
        """\
topics:
  borders:
    all:
      - any: [border, frontier]
      - any: [troops, soldiers, tanks, jets]
    none: [football]
    scope: {languages: [en], tags: [world]}
    examples:
      match:
        - Troops at the border
        - Calm at the border
        - Troops play football at the border
        - {title: Troops at the border, language: de}
      no_match:
        - Border collie
        - Soldiers at the frontier
  near:
    query: a NEAR/1 b
    examples: {match: [a x x b]}
"""
    )
    told = [(p.line, p.level, p.message) for p in run_examples(config, compile_rules(config))]
    assert told == [
        (
            11,
            "error",
            "topic `borders`: the example `Calm at the border` must match, and it does not: no word of group 2 "
            "(troops, soldiers, tanks, …) occurs",
        ),
        (
            12,
            "error",
            "topic `borders`: the example `Troops play football at the border` must match, and it does not: what must "
            "be absent is there: `football` in title",
        ),
        (
            13,
            "error",
            "topic `borders`: the example `Troops at the border` must match, and it does not: its language de is not "
            "one of en",
        ),
        (
            16,
            "error",
            "topic `borders`: the example `Soldiers at the frontier` must not match, and it does: `soldiers` in title, "
            "`frontier` in title",
        ),
        (
            19,
            "error",
            "topic `near`: the example `a x x b` must match, and it does not: NEAR/1 fails "
            "(closest pair 2 words apart: `a` and `b`, words 1 and 4 of the title)",
        ),
    ]


def test_examples_that_hold_are_no_problem() -> None:
    examples = Examples(match=(Example(title="x"),), no_match=(Example(title="y"),))
    declared = topic(query="x", examples=examples, scope=Scope(feeds=("bbc",), tags=("world",)))
    config = Config(topics={"t": declared})
    assert run_examples(config, compile_rules(config)) == ()


def test_what_is_hardly_meant_is_warned_of(topics_file: TopicsFile) -> None:
    config = topics_file(
        """\
topics:
  dead:
    any: [border, 北京路*口, ²³¹]
  nowhere:
    query: title:x AND site:*.example
    scope: {languages: [es]}
  somewhere:
    query: x
    scope: {languages: [en]}
"""
    )
    told = [(Path(p.file).name, p.line, p.message) for p in warnings(config, compile_rules(config))]
    assert told == [
        ("topics.yaml", 3, "no text can match `北京路*口`: in this script each character is a word, and a wildcard "
         "stays within one"),
        ("topics.yaml", 3, "no text can match `²³¹`: it holds no word"),
        ("entities.yaml", 3, "the alias `May` of `may` is also a common word (English), and matches it"),
        ("entities.yaml", 3, "the alias `Total` of `may` is also a common word (English), and matches it"),
        ("entities.yaml", 3, "no text can match the alias `…`: it holds no word"),
        ("topics.yaml", 6, "no feed in the scope of `nowhere` is in es: they are in en"),
    ]  # fmt: skip
    assert all(p.level == "warning" and p.fix for p in warnings(config, compile_rules(config)))


def entity(name: str, **values: Any) -> dict[str, Entity]:
    return {name: Entity.model_validate({"name": name, "title": name.title(), **values})}


@pytest.mark.parametrize(
    ("alias", "language"),
    [("May", "English"), ("Paz", "Spanish"), ("Demain", "French"), ("König", "German"), ("Надежда", "Russian"),
     ("سلام", "Arabic"), ("希望", "Chinese"), ("Umut", "Turkish"), ("Vida Nova", ""), ("Merkel", "")],
)  # fmt: skip
def test_aliases_that_are_common_words_of_any_language_are_warned_of_unless_weak(alias: str, language: str) -> None:
    def told(**values: Any) -> list[str]:
        config = Config(entities=entity("x-y", **values))
        return [p.message for p in warnings(config, compile_rules(config))]

    expected = [f"the alias `{alias}` of `x-y` is also a common word ({language}), and matches it"] if language else []
    assert told(aliases=[alias]) == expected
    assert told(weak=[alias], context=["Madrid"]) == []


def test_weak_aliases_without_context_are_warned_of() -> None:
    config = Config(entities=entity("petro", weak=["Petrito"]))
    (problem,) = warnings(config, compile_rules(config))
    assert problem.message == "the weak aliases of `petro` never count: it has no `context`"


def feed(name: str, **values: Any) -> dict[str, Feed]:
    return {name: Feed.model_validate({"name": name, "url": f"https://{name}.example/feed", **values})}


ENGLISH = feed("bbc", language="en-GB", country="GB")
REACHABLE = [
    ("x AND lang:es", ENGLISH, "`lang:es`; they are in en"),
    ("x AND lang:(es OR fr)", ENGLISH, "`lang:(es OR fr)`; they are in en"),
    ("x AND lang:en", ENGLISH, ""),
    ("x OR lang:es", ENGLISH, ""),
    ("(x AND lang:es) OR (y AND lang:de)", ENGLISH, "`lang:es`, `lang:de`; they are in en"),
    ("x AND NOT lang:en", ENGLISH, "`lang:en`; they are in en"),
    ("x AND NOT lang:es", ENGLISH, ""),
    ("x AND lang:es", ENGLISH | feed("any"), ""),  # a feed of unstated language
    ("x AND lang:es", ENGLISH | feed("pais", language="es"), ""),
    ("x AND lang:es", ENGLISH | feed("pais", language="es", enabled=False), "`lang:es`"),
    ("x AND feed:cnn*", ENGLISH, "`feed:cnn*`"),
    ("x AND feed:bb*", ENGLISH, ""),
    ("x AND country:FR", ENGLISH, "`country:FR`"),
    ("x AND tag:sport", ENGLISH, ""),  # a story may have tags of its own
    ("x AND lang:en AND country:FR", ENGLISH | feed("monde", language="fr", country="FR"), "`lang:en`, `country:FR`"),
]


@pytest.mark.parametrize(("query", "feeds", "told"), REACHABLE)
def test_a_topic_that_no_feed_could_match_is_warned_of(query: str, feeds: dict[str, Feed], told: str) -> None:
    config = Config(feeds=feeds, topics={"t": topic(query=query)})
    found = [problem.message for problem in warnings(config, compile_rules(config))]
    if told:
        assert len(found) == 1
        assert f"no feed in the scope of `t` could match it: it asks for {told}" in found[0]
    else:
        assert found == []


def test_only_feeds_in_the_scope_count_for_what_a_topic_could_match() -> None:
    feeds = ENGLISH | feed("pais", language="es", tags=["world"])
    config = Config(feeds=feeds, topics={"t": topic(query="x AND lang:es", scope={"feeds": ["bbc"]})})
    assert len(warnings(config, compile_rules(config))) == 1


def test_a_topic_that_matches_too_much_of_the_archive_is_warned_of_with_its_commonest_term(
    topics_file: TopicsFile,
) -> None:
    config = topics_file("topics:\n  all:\n    any: [police, border]\n  few:\n    query: tank*\n")
    stories = [story("Police at the border" if n % 10 == 0 else "Police wait" if n % 2 else "Calm") for n in range(100)]
    stories[3:6] = [story("Tanks")] * 3
    rules = compile_rules(config)
    (problem,) = too_common(config, rules, stories, 200)
    assert (problem.level, problem.line) == ("warning", 3)
    assert problem.message == (
        "the topic `all` would alert about 116 times a day: it matches 58 of the 100 newest stories of the archive, "
        "58 of these by `police`"
    )
    assert too_common(config, rules, stories, 80) == ()
    assert too_common(config, rules, [], 200) == ()

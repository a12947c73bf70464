"""Compiling anew what little changed gives the same rules as from nothing, with all else taken over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from monitor.config import Config, Entity, EntityList, Topic
from monitor.query import as_json
from monitor.rules import Rules, compile_rules, compile_sound, core, engine
from monitor.text import StoryText
from tests.random_rules import CONFIG as RANDOM
from tests.random_rules import case_set


def entity(name: str, *aliases: str, **more: Any) -> Entity:
    return Entity.model_validate({"name": name, "title": name.title(), "aliases": aliases, **more})


def topic(name: str, **values: Any) -> Topic:
    return Topic.model_validate({"name": name, **values})


CONFIG = Config(
    macros={"force": "troops OR @army", "wide": "$force OR fleet", "calm": "NOT peace"},
    entities={"army": entity("army", "militia"), "oslo": entity("oslo", "Christiania")},
    lists={"places": EntityList(name="places", entities=("oslo",))},
    topics={
        "plain": topic("plain", query="border"),
        "force": topic("force", query="$force AND border"),
        "wide": topic("wide", any=["port", "$wide"]),
        "calm": topic("calm", any=["talks"], none=["$calm"]),
        "army": topic("army", all=[{"any": ["@army"]}, {"any": ["border"]}], near=3),
        "places": topic("places", query="title:@places"),
    },
)


def taken_over(config: Config) -> set[str]:
    """The topics that are the very ones of CONFIG's rules."""
    before = compile_rules(CONFIG)
    rules = compile_rules(config, (CONFIG, before))
    return {name for name in config.topics if name in before and rules.compiled(name) is before.compiled(name)}


def with_topic(**values: Any) -> Config:
    changed = topic("plain", **{"query": "border", **values})
    return replace(CONFIG, topics={**CONFIG.topics, "plain": changed})


ALL = set(CONFIG.topics)


def test_a_topic_is_compiled_anew_only_where_what_decides_its_matches_changed() -> None:
    assert taken_over(CONFIG) == ALL
    assert taken_over(with_topic(severity="high", title="Borders")) == ALL
    assert taken_over(with_topic(query="frontier")) == ALL - {"plain"}
    assert taken_over(with_topic(none=["collie"])) == ALL - {"plain"}
    assert taken_over(with_topic(scope={"languages": ["en"]})) == ALL - {"plain"}
    nearer = topic("army", all=[{"any": ["@army"]}, {"any": ["border"]}], near=2)
    assert taken_over(replace(CONFIG, topics={**CONFIG.topics, "army": nearer})) == ALL - {"army"}


def test_what_names_a_changed_macro_entity_or_list_is_compiled_anew() -> None:
    macros, entities = CONFIG.macros, CONFIG.entities
    assert taken_over(replace(CONFIG, macros={**macros, "calm": "NOT truce"})) == ALL - {"calm"}
    assert taken_over(replace(CONFIG, macros={**macros, "force": "tanks"})) == ALL - {"force", "wide"}
    again = entity("army", "militia", "guard")
    assert taken_over(replace(CONFIG, entities={**entities, "army": again})) == ALL - {"force", "wide", "army"}
    assert taken_over(replace(CONFIG, entities={**entities, "oslo": entity("oslo")})) == ALL - {"places"}
    listed = EntityList(name="places", entities=("oslo", "army"))
    assert taken_over(replace(CONFIG, lists={"places": listed})) == ALL - {"places"}


QUERIES = [
    "border", "troops AND NOT talks", "$m0", "$m1 OR port", "title:@e0", "@e1 NEAR/3 border", "@l0 OR $m2", "a AND",
    "$nothing", "@nobody", "border troops", "NOT $m0", '"buffer zone" OR $m1',
]  # fmt: skip
MACROS = ["troops", "troops OR soldiers", "NOT peace", "@e0 OR x", "$m0", "$m1 AND y", "$m2", "(", "@l0", "title:a"]
STORIES = [
    StoryText(title="Troops at the border", summary="Oslo and Bergen talk of peace", language="en"),
    StoryText(title="Bergen: soldiers in the port", summary="a x y", language="nb"),
    StoryText(title="Buffer zone", summary="Lima, 3 words from the border"),
]
START = Config(
    macros={"m0": "troops", "m1": "$m0 OR @e0", "m2": "$m1 AND @l0"},
    entities={"e0": entity("e0", "Oslo"), "e1": entity("e1", "Bergen", "Oslo")},
    lists={"l0": EntityList(name="l0", entities=("e0", "e1"))},
    topics={name: topic(name, query=query) for name, query in zip(("t0", "t1", "t2", "t3"), QUERIES, strict=False)},
)
_items = st.lists(st.sampled_from(QUERIES), max_size=2)
_groups = st.fixed_dictionaries({"any": st.lists(st.sampled_from(QUERIES), min_size=1, max_size=2)})
_topics = st.fixed_dictionaries(
    {},
    optional={
        "query": st.sampled_from(QUERIES),
        "any": _items,
        "none": _items,
        "all": st.lists(_groups, max_size=2),
        "near": st.integers(0, 5),
        "scope": st.sampled_from([{}, {"languages": ["en"]}, {"tags": ["World"]}]),
        "severity": st.just("high"),
    },
)
_names = st.lists(st.sampled_from(["Oslo", "Bergen", "US", "Lima"]), max_size=2, unique=True)
_aliases = st.fixed_dictionaries({"title": st.just("Emm"), "aliases": _names})
_members = st.fixed_dictionaries({"entities": st.lists(st.sampled_from(["e0", "e1"]), max_size=2, unique=True)})
_edits = st.one_of(
    st.tuples(st.just("topics"), st.sampled_from(["t0", "t1", "t2", "t3"]), st.none() | _topics),
    st.tuples(st.just("macros"), st.sampled_from(["m0", "m1", "m2"]), st.none() | st.sampled_from(MACROS)),
    st.tuples(st.just("entities"), st.sampled_from(["e0", "e1"]), st.none() | _aliases),
    st.tuples(st.just("lists"), st.just("l0"), st.none() | _members),
)


KINDS: dict[str, type[BaseModel]] = {"topics": Topic, "entities": Entity, "lists": EntityList}


def edited(config: Config, section: str, name: str, value: Any) -> Config:
    """Return `config` with a declaration written anew at the section's end, or without it."""
    declared = {known: one for known, one in getattr(config, section).items() if known != name}
    if section == "macros" and value is not None:
        declared[name] = value
    elif value is not None:
        declared[name] = KINDS[section].model_validate({"name": name, **value})
    changed: Mapping[str, Any] = {section: declared}
    return replace(config, **changed)


def answers(rules: Rules, stories: Sequence[StoryText]) -> Any:
    """What the rules say of stories, in every way that they are asked."""
    said = []
    for story in stories:
        matches = rules.match(story)
        why = [rules.explain(story, topic.name) for topic in rules._list]
        said.append((matches, rules.verdicts(story, matches), rules.entities(story), why))
    return said


def everything(rules: Rules) -> Any:
    compiled = [rules.compiled(topic.name) for topic in rules._list]
    return compiled, [as_json(one.tree) for one in compiled], answers(rules, STORIES)


def test_a_topic_is_left_out_where_one_of_its_groups_that_must_be_near_names_a_broken_macro() -> None:
    near = topic("army", query="border", all=[{"any": ["$force"]}, {"any": ["port"]}], near=3)
    config = replace(CONFIG, macros={**CONFIG.macros, "force": "("}, topics={"army": near})
    rules, problems = compile_sound(config)
    assert "army" not in rules
    assert len(problems) == 1


@contextmanager
def indexes_are_taken_over(most_gone: float = 1e9) -> Iterator[None]:
    """Have an index made of the earlier one, however much of that is gone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "MOST_GONE", most_gone)
        yield


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(_edits, min_size=1, max_size=3), min_size=2, max_size=8), st.sampled_from([0.125, 1e9]))
def test_edits_one_after_another_give_what_the_files_give_from_nothing(
    rounds: list[list[tuple[str, str, Any]]], most_gone: float
) -> None:
    config = START
    rules, _ = compile_sound(config)
    for edits in rounds:
        before = config
        for edit in edits:
            config = edited(config, *edit)
        with indexes_are_taken_over(most_gone):
            rules, problems = compile_sound(config, (before, rules))
        whole, told = compile_sound(config)
        assert everything(rules) == everything(whole)
        assert problems == told


def changed_at_random(config: Config, queries: Sequence[str], rng: Random) -> Config:
    """Return `config` with some of its topics changed, gone, new, or in another order."""
    topics = dict(config.topics)
    for _ in range(rng.randrange(1, 4)):
        name = f"t{rng.randrange(len(topics) + 3)}"
        topics.pop(name, None)
        if rng.random() < 0.8:
            topics[name] = topic(name, query=rng.choice(queries))
    order = list(topics)
    if rng.random() < 0.2:
        rng.shuffle(order)
    return replace(config, topics={name: topics[name] for name in order})


def test_of_random_rules_few_are_changed_many_times_and_the_earlier_ones_stay_as_they_are() -> None:
    taken_over = 0
    for seed in range(6):
        rng = Random(70_000 + seed)
        cases = case_set(rng, 60, 5)
        config = replace(RANDOM, topics={f"t{n}": topic(f"t{n}", query=q) for n, q in enumerate(cases.queries[:25])})
        rules = compile_rules(config)
        for _ in range(8):
            said = answers(rules, cases.stories)
            changed = changed_at_random(config, cases.queries, rng)
            with indexes_are_taken_over():
                after = compile_rules(changed, (config, rules))
            assert answers(after, cases.stories) == answers(compile_rules(changed), cases.stories), f"seed {seed}"
            assert answers(rules, cases.stories) == said
            taken_over += bool(after._index.gone)
            config, rules = changed, after
    assert taken_over > 30 or core.CORE is None


def test_what_is_gone_is_got_rid_of_in_time() -> None:
    config = Config(topics={f"t{n}": topic(f"t{n}", query=f"word{n} AND other{n}") for n in range(40)})
    rules, gone, patterns = compile_rules(config), [], []
    for number in range(30):
        before = config
        config = edited(config, "topics", "t7", {"query": f"new{number} AND another{number}"})
        rules = compile_rules(config, (before, rules))
        gone.append(len(rules._index.gone))
        patterns.append(0 if rules._index.matcher is None else rules._index.matcher.patterns)
        story = StoryText(text=f"new{number} another{number} word7 other7")
        assert [match.topic for match in rules.match(story)] == ["t7"]
    if core.CORE is not None:
        assert max(gone) == 5  # an eighth
        assert max(patterns) == 80 + 2 * 5
    else:
        assert not any(gone)

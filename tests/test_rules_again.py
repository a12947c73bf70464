"""Compiling anew what little changed gives the same rules as from nothing, with all else taken over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from monitor.config import Config, Entity, EntityList, Topic
from monitor.query import as_json
from monitor.rules import Rules, compile_rules, compile_sound
from monitor.text import StoryText


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


def everything(rules: Rules) -> Any:
    compiled = [rules.compiled(topic.name) for topic in rules._list]
    return compiled, [as_json(one.tree) for one in compiled], [rules.match(story) for story in STORIES]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(_edits, min_size=1, max_size=3), min_size=2, max_size=8))
def test_edits_one_after_another_give_what_the_files_give_from_nothing(
    rounds: list[list[tuple[str, str, Any]]],
) -> None:
    config = START
    rules, _ = compile_sound(config)
    for edits in rounds:
        before = config
        for edit in edits:
            config = edited(config, *edit)
        rules, problems = compile_sound(config, (before, rules))
        whole, told = compile_sound(config)
        assert everything(rules) == everything(whole)
        assert problems == told

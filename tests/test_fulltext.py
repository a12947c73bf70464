"""The full-text index: it may offer stories that no rule matches, and never keeps one back that a rule matches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text as sql

from monitor.config import Topic
from monitor.models import Story
from monitor.rules import compile_rules
from monitor.rules.preselect import ANY, LONGEST, terms
from monitor.store import Store, fulltext
from monitor.text import StoryText
from tests.make import NOW
from tests.random_rules import CONFIG, case_set, real_stories


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    postgres = request.param == "postgresql"
    opened = Store(request.getfixturevalue("postgres_url") if postgres else "sqlite:///monitor.db", tmp_path)
    opened.migrate()
    yield opened
    opened.close()


def saved(store: Store, *stories: StoryText) -> list[int]:
    """Save stories as polls do; return their ids."""
    rows = []
    with store.ingest() as work:
        for number, one in enumerate(stories):
            row = Story(
                key=f"k{number}", feed="f", source="S", url="", title=one.title, summary=one.summary, text=one.text,
                first_seen_at=NOW, effective_at=NOW,
            )  # fmt: skip
            rows.append(work.add_story(row, None, NOW))
    return [row.id or 0 for row in rows]


@pytest.mark.parametrize("seed", range(6))
def test_no_story_that_a_rule_matches_is_kept_back(store: Store, seed: int) -> None:
    rng = Random(seed)
    cases = case_set(rng, 40, 30, published=real_stories() if seed % 2 else ())
    names = {f"t{n}": Topic.model_validate({"name": f"t{n}", "query": q}) for n, q in enumerate(cases.queries)}
    numbers = saved(store, *cases.stories)
    told = matched = offered = 0
    for name, topic in names.items():
        rules = compile_rules(replace(CONFIG, topics={name: topic}))
        wanted = rules.needed()
        found = {number for number, one in zip(numbers, cases.stories, strict=True) if rules.match(one)}
        if wanted is not None:
            may = set(store.reports.numbers_since(NOW, wanted))
            assert found <= may, (topic.query, found - may)
            told, matched, offered = told + 1, matched + len(found), offered + len(may)
    # An index that offered everything, or knew nothing of most rules, would be of no use.
    assert told > 20
    assert matched <= offered < 0.7 * told * len(numbers)


@given(st.text(max_size=60), st.text(max_size=200))
@settings(deadline=None)
def test_every_term_is_one_token(title: str, body: str) -> None:
    for term in terms(title, "", body):
        assert all(ord(char) > 127 or char.isalnum() for char in term), term
        assert term


KNOWN = ["Troops at the border", "Des soldats à la frontière", "五国宣布制裁措施", "x" * 100]


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ("troops AND border", [0]),
        ("troop*", [0]),
        ("title:border OR body:frontiere", [0, 1]),
        ("制裁", [2]),
        ("制裁 AND NOT border", [2]),
        ("x" * (LONGEST + 5) + "*", [3]),
        ("troops OR soldats NEAR/3 frontiere", [0, 1]),
        ("{à la}", [1]),
    ],
)
def test_what_is_offered(store: Store, query: str, places: list[int]) -> None:
    numbers = saved(store, *(StoryText(title=KNOWN[0]), *(StoryText(text=one) for one in KNOWN[1:])))
    wanted = compile_rules(replace(CONFIG, topics={"t": Topic.model_validate({"name": "t", "query": query})})).needed()
    assert wanted is not None
    assert sorted(store.reports.numbers_since(NOW, wanted)) == [numbers[place] for place in places]


@pytest.mark.parametrize("query", ["FORMS(deploy)", "/a+b/", "border OR FORMS(deploy)", "lang:en"])
def test_of_what_no_word_is_needed_the_index_does_not_tell(query: str) -> None:
    assert (
        compile_rules(replace(CONFIG, topics={"t": Topic.model_validate({"name": "t", "query": query})})).needed()
        is None
    )


def test_a_story_of_too_many_words_is_always_offered(store: Store) -> None:
    many = " ".join(f"word{number}" for number in range(60_000))
    assert terms("Troops", "", many) == [ANY]
    (number,) = saved(store, StoryText(title="Troops", text=many))
    topic = Topic.model_validate({"name": "t", "query": "word7 AND nothing"})
    wanted = compile_rules(replace(CONFIG, topics={"t": topic})).needed()
    assert wanted is not None
    assert store.reports.numbers_since(NOW, wanted) == [number]


def offered(store: Store, word: str) -> list[int]:
    wanted = compile_rules(replace(CONFIG, topics={"t": Topic.model_validate({"name": "t", "query": word})})).needed()
    assert wanted is not None
    return store.reports.numbers_since(NOW - timedelta(days=999), wanted)


def test_an_edit_and_retention_change_what_is_known(store: Store) -> None:
    (number,) = saved(store, StoryText(title="Troops at the border"))
    with store.ingest() as work:
        story = work.story(number)
        assert story is not None
        work.unindex(story)
        story.title = "Soldiers at the border"
        work.index(story)
    assert [offered(store, word) for word in ("troops", "soldiers", "border")] == [[], [number], [number]]
    assert store.archive.prune(NOW + timedelta(days=1), NOW)[0] == 1
    with store.read() as session:
        query = f"SELECT count(*) FROM {fulltext.TABLE}"
        if store.is_sqlite:
            query += f" WHERE {fulltext.TABLE} MATCH 'border OR soldiers OR troops'"
        assert session.execute(sql(query)).scalar() == 0


def test_an_archive_of_before_is_indexed_when_the_index_is_made(store: Store) -> None:
    (number,) = saved(store, StoryText(title="Troops at the border"))
    with store.write() as session:
        fulltext.drop(session.connection())
        fulltext.make(session.connection())
    assert offered(store, "troops") == [number]

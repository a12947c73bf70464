"""The table of the query language: each row of tests/data/conformance.yaml is a query, a story and what is wanted.

The rules are asked, and the reference evaluator too, so that the judge of the rules is itself judged. A row with
`known:` must fail for the rules; a section with `needs:` is left out while that feature is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.config import Config, Entity, EntityList, Feed, Topic
from monitor.entities import Aliases
from monitor.errors import ConfigError, Problem, QueryError
from monitor.query import Node, expand, parse
from monitor.rules import compile_rules, warnings
from monitor.text import FIELDS, StoryText
from tests.judgement import KNOWN
from tests.reference import Reader, Span

TABLE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "data" / "conformance.yaml").read_text("utf-8"))
KEYS = {
    "match": {"finds"},
    "miss": {"note"},
    "error": {"at", "line", "says", "fix"},
    "warning": {"says"},
    "no warning": set[str](),
}
ANY_ROW = {"query", "topic", "story", "wanted", "why", "known", "macros", "entities", "feeds"}


@dataclass(frozen=True)
class Row:
    """One row, and the configuration that it is asked with."""

    said: Mapping[str, Any]
    config: Config
    needs: str

    @property
    def wanted(self) -> str:
        return str(self.said["wanted"])

    @property
    def story(self) -> StoryText:
        story = self.said["story"]
        values: dict[str, Any] = {"title": story} if isinstance(story, str) else dict(story)
        values["tags"] = tuple(values.get("tags", ()))
        return StoryText(**values)

    @property
    def topic(self) -> Topic:
        declared = self.said["topic"] if "topic" in self.said else {"query": self.said["query"]}
        return Topic.model_validate({"name": "row", **declared})

    @property
    def topics(self) -> Config:
        return replace(self.config, topics={"row": self.topic})

    def tree(self) -> Node:
        """The query's tree with its macros put in. Raises QueryError."""
        query = self.said["query"]
        macros = {name: parse(text, part=True) for name, text in self.config.macros.items()}
        return expand(parse(query), macros, Aliases(self.config), query)


def _config(*declared: Mapping[str, Any]) -> Config:
    """The configuration of the table, of a section and of a row, one laid over the other."""
    made: dict[str, dict[str, Any]] = {"entities": {}, "lists": {}, "macros": {}, "feeds": {}}
    for part in declared:
        for kind, values in made.items():
            values.update(part.get(kind, {}))
    return Config(
        entities={name: Entity.model_validate(values | {"title": values["name"], "name": name})
                  for name, values in made["entities"].items()},
        lists={name: EntityList.model_validate({"name": name, **values}) for name, values in made["lists"].items()},
        macros=made["macros"],
        feeds={name: Feed.model_validate({"name": name, "url": f"https://{name}.example/feed", "language": language})
               for name, language in made["feeds"].items()},
    )  # fmt: skip


def rows(*wanted: str, judged: bool = True) -> list[Any]:
    """The rows of these kinds as parameters of a test, named by heading and query.

    `judged`: it is the rules that are asked, so a row with `known:` must fail. The reference is asked for queries only,
    of the terms that it reads.
    """
    found = []
    for section in TABLE["sections"]:
        for said in section["rows"]:
            if said["wanted"] in wanted and (judged or ("query" in said and "needs" not in section)):
                # A row's own entities stand alone: those of the table would warn, or win, beside them.
                own = "entities" in said
                row = Row(said, _config({} if own else TABLE, section, said), section.get("needs", ""))
                name = f"{section['heading'][:40]} | {said.get('query', said.get('topic'))} | {said.get('story', '')}"
                found.append(pytest.param(row, id=name, marks=_marks(said) if judged else ()))
    return found


def _marks(said: Mapping[str, Any]) -> Sequence[pytest.MarkDecorator]:
    return [pytest.mark.xfail(reason=said["known"], strict=True, raises=AssertionError)] if "known" in said else []


# --- features that are not there yet, each asked for the least that shows it


def _parses(query: str) -> bool:
    try:
        parse(query)
    except QueryError:
        return False
    return True


def _finds(entity: Mapping[str, Any], title: str, language: str) -> bool:
    config = replace(
        _config({"entities": {"x": entity}}), topics={"t": Topic.model_validate({"name": "t", "query": "@x"})}
    )
    return bool(compile_rules(config).match(StoryText(title=title, language=language)))


PROBES: dict[str, Callable[[], bool]] = {
    "": lambda: True,
    "forms": lambda: _parses("FORMS(deploy)"),
    "regex": lambda: _parses(r"/cve-\d{4}/i"),
    "weak": lambda: _finds({"name": "Ann Zeta", "weak": ["Zeta"], "context": ["Peru"]}, "Zeta in Peru", "en"),
    "inflected": lambda: _finds({"name": "Москва", "inflected": True}, "в Москве", "ru"),
    "counts": lambda: False,  # counts come from an archive of stories, which rows have not
}


@pytest.fixture(autouse=True)
def _there(request: pytest.FixtureRequest) -> None:
    """Leave out what needs a feature that is not there."""
    row = request.node.callspec.params.get("row") if hasattr(request.node, "callspec") else None
    if isinstance(row, Row) and not PROBES[row.needs]():
        pytest.skip(f"`{row.needs}` is not there yet")


# --- the rows


def published(story: StoryText, span: Span) -> str:
    """The piece of the story at `span`. One in a tag does not say in which: the first that is as long."""
    field, start, end = span
    if field == "tag":
        return next(tag for tag in story.tags if len(tag) == end)
    return str(getattr(story, {"lang": "language"}.get(field, field)))[start:end]


def in_story_order(spans: set[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (FIELDS.index(span[0]), span[1], span[2]))


def assert_finds(row: Row, spans: set[Span]) -> None:
    if "finds" in row.said:
        assert [published(row.story, span) for span in in_story_order(spans)] == row.said["finds"]


@pytest.mark.parametrize("row", rows("match"))
def test_a_story_that_a_query_describes_matches(row: Row) -> None:
    matches = compile_rules(row.topics).match(row.story)
    assert matches, row.said["why"]
    assert_finds(row, {(e.field, e.start, e.end) for e in matches[0].evidence})


@pytest.mark.parametrize("row", rows("miss"))
def test_a_story_that_a_query_does_not_describe_is_missed(row: Row) -> None:
    rules = compile_rules(row.topics)
    assert not rules.match(row.story), row.said["why"]
    if "note" in row.said:
        assert row.said["note"] in rules.explain(row.story, "row").note


@pytest.mark.parametrize("row", rows("match", "miss", judged=False))
def test_the_reference_says_the_same(row: Row) -> None:
    reader, tree = Reader(row.story, Aliases(row.config)), row.tree()
    assert reader.holds(tree) == (row.wanted == "match"), row.said["why"]
    if row.wanted == "match":
        assert_finds(row, reader.evidence(tree))


@pytest.mark.parametrize("row", rows("error"))
def test_a_mistake_is_told_with_its_place_and_a_remedy(row: Row) -> None:
    if "topic" in row.said:
        problems = _problems(row)
        assert any(
            row.said["says"] in problem.message and row.said.get("fix", "") in problem.fix for problem in problems
        ), problems
        return
    with pytest.raises(QueryError) as caught:
        row.tree()
    error = caught.value
    assert row.said.get("says", "") in error.message
    assert row.said.get("fix", "") in error.fix
    assert error.fix, "every mistake has a remedy"
    assert (error.line, error.column) == (row.said.get("line", 1), row.said["at"])


def _problems(row: Row) -> Sequence[Problem]:
    with pytest.raises(ConfigError) as caught:
        compile_rules(row.topics)
    return caught.value.problems


@pytest.mark.parametrize("row", rows("warning"))
def test_what_is_hardly_meant_is_warned_of(row: Row) -> None:
    told = [problem.message for problem in warnings(row.topics, compile_rules(row.topics))]
    assert any(row.said["says"] in message for message in told), told


@pytest.mark.parametrize("row", rows("no warning"))
def test_what_is_meant_is_not_warned_of(row: Row) -> None:
    assert [problem.message for problem in warnings(row.topics, compile_rules(row.topics))] == []


# --- the table


def test_the_table_is_large_and_its_rows_are_whole() -> None:
    every = [said for section in TABLE["sections"] for said in section["rows"]]
    assert len(every) >= 300
    for said in every:
        allowed = ANY_ROW | KEYS[said["wanted"]]
        assert said.keys() <= allowed, f"{said}: {said.keys() - allowed}"
        assert said["why"]
        assert ("query" in said) != ("topic" in said), said
        assert ("story" in said) == (said["wanted"] in ("match", "miss")), said
        assert None not in said.values(), said


def test_every_difference_that_random_cases_leave_out_is_a_row() -> None:
    told = {said["known"] for section in TABLE["sections"] for said in section["rows"] if "known" in said}
    assert KNOWN.keys() <= told

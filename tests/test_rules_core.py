"""The compiled core says what Python says: the folded words, their places, the matches with their evidence."""

from __future__ import annotations

import gc
import os
import re
import sys
import tracemalloc
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hatch_build
from monitor.compiled import built
from monitor.config import Config, Entity, Topic
from monitor.rules import TopicMatch, compile_rules, core
from monitor.rules.folded import Folded
from monitor.rules.values import MAX_EVIDENCE
from monitor.text import Evidence, StoryText
from tests.random_rules import CONFIG, REAL_EVERY, case_set, real_stories
from tests.test_rules_folded import ODD

WHY = "the compiled core was not built (`make install` builds it where there is a C compiler)"
if core.CORE is None and os.environ.get("MONITOR_TEST_REQUIRE_ALL") and not os.environ.get("MONITOR_PURE"):
    pytest.fail(WHY)
pytestmark = pytest.mark.skipif(core.CORE is None, reason=WHY)

texts = st.one_of(st.text(alphabet=ODD, max_size=40), st.text(max_size=30))


@contextmanager
def in_python() -> Iterator[None]:
    """Have everything within the block done without the core."""
    built, core.CORE = core.CORE, None
    try:
        yield
    finally:
        core.CORE = built


def both(config: Config, stories: Sequence[StoryText]) -> tuple[list[tuple[TopicMatch, ...]], ...]:
    """Return the matches by the core, and those by Python alone."""
    rules = compile_rules(config)
    assert rules._index.matcher is not None
    compiled = [rules.match(story) for story in stories]
    with in_python():
        rules = compile_rules(config)
        assert rules._index.matcher is None
        return compiled, [rules.match(story) for story in stories]


def topics(*queries: str, entities: Sequence[Entity] = ()) -> Config:
    """Return a configuration of these queries."""
    named = {f"t{n}": Topic(name=f"t{n}", query=query) for n, query in enumerate(queries)}
    return Config(topics=named, entities={entity.name: entity for entity in entities})


@settings(deadline=None)
@given(texts, texts, texts)
def test_the_core_folds_as_python_does(title: str, summary: str, text: str) -> None:
    compiled = Folded(title, summary, text)
    with in_python():
        plain = Folded(title, summary, text)
    assert compiled.data == plain.data
    assert compiled.edges == plain.edges
    starts = [match.start() for match in re.finditer(rb" (?=[^\0 ])", plain.data)]
    for start in starts:
        end = plain.data.index(b" ", start + 1) + 1
        assert compiled.place(start, end) == plain.place(start, end)


@pytest.mark.parametrize(
    "text",
    [
        "plain words",
        "l’Élysée’s words",
        "制裁措施 和",
        "ประเทศไทย",
        "हिन्दी में",
        "Straße und Æther",
        "cafe\u0301",
        "½’s x²",
    ],
)
def test_the_core_folds_ordinary_texts_itself(text: str) -> None:
    Folded(text, "", "")  # what its characters mean is asked for once, in Python
    assert Folded(text, "", "")._map is not None


def test_random_rules_match_as_in_python() -> None:
    for seed in range(40):
        published = real_stories() if seed % REAL_EVERY == REAL_EVERY - 1 else ()
        cases = case_set(Random(90_000 + seed), 60, 25, published=published)
        config = replace(CONFIG, topics=topics(*cases.queries).topics)
        compiled, plain = both(config, cases.stories)
        assert compiled == plain, f"seed {seed}"


def test_every_pattern_stands_where_python_finds_it() -> None:
    cases = case_set(Random(5), 300, 60)
    config = replace(CONFIG, topics=topics(*cases.queries).topics)
    rules = compile_rules(config)
    with in_python():
        plain = compile_rules(config)
    for story in cases.stories:
        data = Folded(story.title, story.summary, story.text).data
        assert (hits := rules._index.places(data)) == plain._index.places(data)
        # What the core decides by itself it does not sift by needs, so it may name more.
        assert rules._index.candidates(data, hits) >= plain._index.candidates(data, hits)


def test_exact_texts_are_left_to_python_only_where_letters_may_be_composed() -> None:
    config = topics("{Müller AG}", "{Muller AG}")
    stories = [StoryText(text=text) for text in ("Müller\u00a0AG", "müller ag", "Müller\x85 AG", "Muller AG")]
    compiled, plain = both(config, stories)
    assert compiled == plain
    assert [len(found) for found in compiled] == [1, 0, 1, 1]
    match = compile_rules(config)._index.matcher.match
    for text in ("Müller AG", "müller ag", "Mu\u0308ller AG"):
        Folded("", "", text)  # what its characters mean is asked for once
        one = Folded("", "", text)
        assert bool(match(one.data, one.joined, one.origins, one.before, one.place)[2]) is ("\u0308" in text)


def test_keys_that_begin_alike_are_told_apart() -> None:
    """Whole words, more words, an open end in the first and in a later word, and a phrase across two fields."""
    queries = ["sea", '"sea of"', '"sea of azov"', '"sea of azo*"', '"sea off*"', "sea*", '"sea of azov coast"', "of"]
    stories = [StoryText(text=text) for text in ("sea", "sea of azov", "seat of azov", "sea offer azov", "of sea")]
    compiled, plain = both(topics(*queries), [*stories, StoryText(title="sea", summary="of", text="azov")])
    assert compiled == plain
    found = [[int(match.topic[1:]) for match in matches] for matches in compiled]
    assert found == [[0, 5], [0, 1, 2, 3, 5, 7], [5, 7], [0, 4, 5], [0, 5, 7], [0, 5, 7]]


LONG = " ".join(f"w{number:x}" for number in range(30))
AGAIN = " ".join(["echo"] * 30)


@pytest.mark.parametrize(
    ("queries", "text"),
    [
        ([f'"{LONG}"', f'"{LONG} w30*"', f'"{LONG} x"', '"w7 w8"', '"w6 w7 w8 w9 wa wb wc wd"'], f"{LONG} w30x {LONG}"),
        ([f'"{AGAIN}"', "echo", "ech*", 'ATLEAST/500(echo)', '"echo echo"'], "echo " * 3_000),
        (["a NEAR/5 b", "a ONEAR/2 b", "(a OR c) AND NOT d", "FIRST/3(a)", "title:a OR body:b"], "a c b " * 4_000),
        (["a AND b", "(a OR b) NEAR/100 (c OR d)"], "a b c d " * 3_000),
        (["制裁", "制裁措*", "制 NEAR/2 措"], "制裁措施" * 2_000),
    ],
    ids=["long phrases", "repetitions", "many spans", "all near all", "Chinese"],
)  # fmt: skip
def test_what_is_long_or_often_there_is_decided_alike(queries: list[str], text: str) -> None:
    stories = [StoryText(text=text), StoryText(title=text[:60], summary=text[60:90], text=text[90:])]
    compiled, plain = both(topics(*queries), stories)
    assert compiled == plain
    assert any(compiled)
    assert max(len(match.evidence) for found in compiled for match in found) <= MAX_EVIDENCE


def test_names_inside_words_are_found() -> None:
    entity = Entity(name="iraq", title="العراق", inflected=True)
    config = topics("@iraq", "@iraq AND border", entities=[entity])
    stories = [StoryText(text=text, language="ar") for text in ("وبالعراق border", "العراق", "في عراقي border", "x")]
    compiled, plain = both(config, stories)
    assert compiled == plain
    assert compiled[0]
    assert not compiled[3]


def test_a_match_may_be_asked_for_within_another() -> None:
    """As by a finalizer, or by another thread that runs meanwhile."""
    rules = compile_rules(topics("one", "two AND one", "three"))
    folded = Folded("one two", "", "three")
    matcher = rules._index.matcher
    inner: list[Any] = []

    def place(start: int, end: int) -> tuple[str, int, int]:
        inner.append(matcher.match(folded.data, folded.joined, folded.origins, folded.before, folded.place)[:2])
        return folded.place(start, end)

    told = matcher.match(folded.data, folded.joined, None, folded.before, place)[:2]
    assert told == matcher.match(folded.data, folded.joined, folded.origins, folded.before, folded.place)[:2]
    assert inner == [told] * 4


def test_an_error_of_a_place_comes_through_and_leaves_the_matcher_usable() -> None:
    matcher = compile_rules(topics("one", "two"))._index.matcher
    folded = Folded("one two", "", "")

    def place(start: int, end: int) -> tuple[str, int, int]:
        raise LookupError(start, end)

    for _ in range(3):
        with pytest.raises(LookupError):
            matcher.match(folded.data, folded.joined, None, folded.before, place)
    numbers, _, _, _ = matcher.match(folded.data, folded.joined, folded.origins, folded.before, folded.place)
    assert numbers == [0, 1]


@pytest.mark.parametrize("data", [b"", b"x", b" x", b"x ", "no bytes", b" x \0"])
def test_what_is_no_folded_story_is_refused(data: Any) -> None:
    matcher = compile_rules(topics("one"))._index.matcher
    with pytest.raises((ValueError, TypeError)):
        matcher.match(data, "", None, (0, 0, 0), None)


@settings(deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_bytes_of_any_kind_are_scanned_within_their_bounds(noise: bytes, words: bool) -> None:
    rules = compile_rules(topics("one*", "one NEAR/3 two", '"one two three"', "title:one", "FIRST/2(two)"))
    data = b" " + (noise.replace(b"\xff", b" one ").replace(b"\xfe", b" two ") if words else noise) + b" "
    origins = array("i", range(len(data))).tobytes()
    rules._index.matcher.match(data, noise.hex(), origins, (1, 1, 1), None)
    assert all(number >= 0 for number in rules._index.places(data))


class _Catcher:
    """Stands in for the core: keeps what a matcher is made of."""

    def __init__(self) -> None:
        self.parts: list[Any] = []

    def Matcher(self, *parts: Any) -> None:
        """Keep the parts."""
        self.parts = list(parts)


@pytest.mark.parametrize("taken_over", [False, True])
def test_rows_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch, taken_over: bool) -> None:
    """Whatever one number of the rows is changed into, the core is made and matches within bounds, or says no."""
    assert core.CORE is not None
    catcher, built = _Catcher(), core.CORE
    queries = ["a NEAR/3 (b OR c)", "a AND NOT b", "title:(a OR d)", "ATLEAST/2(a)", "FIRST/9(b)", "eff*", "{A} AND d"]
    some = topics(*queries[:3], "@e AND a", "(a OR FORMS(b)) AND {D}", entities=[Entity(name="e", title="b c")])
    before = compile_rules(some)
    monkeypatch.setattr(core, "CORE", catcher)
    if taken_over:
        more = {**some.topics, **{f"n{n}": Topic(name=f"n{n}", query=query) for n, query in enumerate(queries)}}
        compile_rules(replace(some, topics=more), (some, before))
    else:
        compile_rules(topics(*queries))
    assert (catcher.parts[0] is None) is not taken_over
    monkeypatch.undo()
    parts = catcher.parts
    built.Matcher(*parts)
    rng = Random(3)
    refused = 0
    folded = Folded("a b c", "d e", "a a b effort")
    rows = [number for number, part in enumerate(parts) if isinstance(part, array) and part]
    for _ in range(3_000):
        changed = list(parts)
        number = rng.choice(rows)
        changed[number] = array("i", parts[number])
        changed[number][rng.randrange(len(changed[number]))] = rng.choice(
            (-1, -2, 0, 1, 2, 3, 7, 50, 2**31 - 1, -(2**31))
        )
        if rng.random() < 0.2:
            del changed[number][rng.randrange(len(changed[number])) :]
        try:
            matcher = built.Matcher(*changed)
        except ValueError:
            refused += 1
        else:
            matcher.match(folded.data, folded.joined, folded.origins, folded.before, folded.place)
    assert refused > 1_000


def test_other_versions_of_the_core_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert built("monitor.rules._core", core.VERSION) is not None
    assert built("monitor.rules._core", 0) is None
    monkeypatch.setenv("MONITOR_PURE", "1")
    assert built("monitor.rules._core", core.VERSION) is None


def test_matching_leaves_no_memory_behind() -> None:
    rules = compile_rules(topics("one", "two NEAR/3 one", "{One}", "/tw./", "title:one"))
    stories = [StoryText(title="One two", text=f"one two tw{number} ’s é") for number in range(50)]

    def match() -> None:
        for story in stories:
            rules.match(story)
            rules.explain(story, "t1")
        gc.collect()

    match()
    tracemalloc.start()
    try:
        for _ in range(20):  # what is kept of words settles
            match()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            match()
        assert tracemalloc.get_traced_memory()[0] - before < 5_000  # of a thousand stories
    finally:
        tracemalloc.stop()
    labels = [sys.getrefcount(label) for label in rules._labels]
    match()
    assert [sys.getrefcount(label) for label in rules._labels] == labels


def test_without_a_compiler_the_build_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", str(tmp_path / "no-compiler"))
    for source in hatch_build.PARTS:
        assert "No such file" in hatch_build.build(source, tmp_path / "core.so")
    source = tmp_path / "core.c"
    source.write_text("this is no C")
    monkeypatch.delenv("CC")
    assert hatch_build.build(source, tmp_path / "core.so")
    assert not (tmp_path / "core.so").exists()


def test_evidence_is_what_python_makes() -> None:
    (match,) = compile_rules(topics("deploy*")).match(StoryText(title="They deployed"))
    assert type(match) is TopicMatch
    (evidence,) = match.evidence
    assert type(evidence) is Evidence
    assert evidence == Evidence("title", 5, 13, "deploy*")
    assert hash(evidence) == hash(Evidence("title", 5, 13, "deploy*"))

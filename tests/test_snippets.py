"""Passages cut out of stories: whole sentences and words around the evidence, with spans that stay right."""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest

from monitor.snippets import cut, snippet


class Found(NamedTuple):
    field: str
    start: int
    end: int
    term: str
    entity: str = ""


def found(field: str, text: str, *terms: str) -> tuple[Found, ...]:
    return tuple(Found(field, text.index(term), text.index(term) + len(term), term) for term in terms)


FILLER = "The weather in the capital stayed mild and the market was open all day. "


def test_the_sentence_with_most_matched_terms_is_shown() -> None:
    text = FILLER * 6 + "Two battalions reached the frontier before dawn. A battalion is a unit. " + FILLER * 6
    evidence = found("text", text, "battalions", "frontier", "battalion is")
    assert snippet("", text, evidence, limit=60) == (
        "Two battalions reached the frontier before dawn.",
        (Found("snippet", 4, 14, "battalions"), Found("snippet", 27, 35, "frontier")),
    )


def test_several_sentences_are_shown_when_they_hold_more_terms_and_fit() -> None:
    text = FILLER + "Two battalions left. They reached the frontier. " + FILLER
    passage, spans = snippet("", text, found("text", text, "battalions", "frontier"))
    assert passage == "Two battalions left. They reached the frontier."
    assert [passage[s.start : s.end] for s in spans] == ["battalions", "frontier"]


def test_the_summary_wins_over_a_text_that_shows_no_more() -> None:
    summary, text = "Troops moved today.", "Body: troops moved again."
    evidence = found("text", text, "troops") + found("summary", summary, "Troops")
    assert snippet(summary, text, evidence)[0] == "Troops moved today."


def test_a_story_matched_in_its_headline_only_shows_the_beginning_of_its_summary() -> None:
    evidence = (Found("title", 0, 6, "troops"),)
    assert snippet("A plain summary.", "A body.", evidence) == ("A plain summary.", ())
    assert snippet("", "A body.", evidence) == ("A body.", ())
    assert snippet("", "", evidence) == ("", ())


def test_a_sentence_longer_than_the_limit_is_cut_at_words_with_an_ellipsis_at_both_ends() -> None:
    text = "alpha bravo charlie " * 20 + "the frontier " + "delta echo foxtrot " * 20
    passage, (span,) = snippet("", text, found("text", text, "frontier"), limit=100)
    assert len(passage) <= 100
    assert passage[0] == passage[-1] == "…"
    assert passage[span.start : span.end] == "frontier"
    assert set(passage.strip("…").split()) <= set(text.split())


def test_an_initial_or_a_title_does_not_end_a_sentence() -> None:
    text = FILLER * 3 + "On Monday U.S. troops under Gen. Hale reached the frontier. " + FILLER
    passage, _ = snippet("", text, found("text", text, "frontier"), limit=120)
    assert passage == "On Monday U.S. troops under Gen. Hale reached the frontier."


def test_chinese_sentences_need_no_blank() -> None:
    text = "首都天气温和。" * 10 + "两个营在黎明前抵达边境。" + "市场全天开放。" * 10
    passage, (span,) = snippet("", text, found("text", text, "边境"), limit=60)
    assert passage == "两个营在黎明前抵达边境。"
    assert passage[span.start : span.end] == "边境"


@pytest.mark.parametrize("limit", [20, 60, 320])
@pytest.mark.parametrize("blank", [" ", "\n", ""])
def test_spans_point_at_the_same_words_whatever_is_cut(limit: int, blank: str) -> None:
    text = blank.join(f"w{n}x." if n % 7 else f"TERM{n}." for n in range(100))
    evidence = tuple(
        Found("text", text.index(f"TERM{n}."), text.index(f"TERM{n}.") + len(f"TERM{n}"), f"TERM{n}")
        for n in range(0, 100, 7)
    )
    passage, spans = snippet("", text, evidence, limit)
    assert spans
    assert len(passage) <= limit
    assert [passage[s.start : s.end] for s in spans] == [s.term for s in spans]


def test_a_matched_word_longer_than_the_limit_is_cut() -> None:
    word = "x" * 500
    passage, (span,) = snippet(word, "", (Found("summary", 0, 500, word),), limit=50)
    assert len(passage) <= 50
    assert (passage[-1], passage[span.start : span.end]) == ("…", passage.strip("…"))


def test_spans_outside_the_text_are_ignored() -> None:
    assert snippet("Short.", "", (Found("summary", 3, 99, "x"), Found("summary", -1, 2, "y"))) == ("Short.", ())


def test_a_hostile_text_costs_no_time() -> None:
    text = "war. " * 100_000 + "." * 200_000 + "。" * 200_000
    evidence = tuple(Found("text", 5 * n, 5 * n + 3, "war") for n in range(100_000))
    began = time.monotonic()
    passage, _ = snippet("", text, evidence)
    assert len(passage) <= 320
    assert time.monotonic() - began < 3


def test_cut_ends_on_a_word_and_keeps_a_prefix() -> None:
    assert cut("Troops sent to the northern frontier", 20) == "Troops sent to the…"
    assert cut("Troops, sent", 9) == "Troops…"
    assert cut("short", 5) == "short"
    assert cut("anything", 0) == ""


def test_cut_goes_through_a_word_that_is_too_long_but_not_through_an_accent() -> None:
    assert cut("x" * 80, 10) == "x" * 9 + "…"
    assert cut("e\u0301" * 40, 10) == "e\u0301" * 4 + "…"

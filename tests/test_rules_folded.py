from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.rules.folded import FIELD_GAP, NAMES, Folded
from monitor.text import words

# Characters that folding treats in ways of their own, beside whatever hypothesis thinks of.
ODD = (
    "aZ0 s'’ʼ-_\0ßẞæŒÞİıﬁéé́ññйёЁΑθήναςאַבّأً ـ\u200c\u200d\u00ad٣１Ａｶﾞがが가나"
    "制裁，。ไทยที่का के\u093eক\u09cb½²ʻ\u0301\u0308ſьﹰﷺ\u3099\ud800😀"
)
texts = st.one_of(st.text(alphabet=ODD, max_size=30), st.text(max_size=20))


def by_words(*fields: str) -> list[list[bytes]]:
    """Return the folded words of each field, by the one definition of a word."""
    return [[word.folded.encode("utf-8", "surrogatepass") for word in words(field)] for field in fields]


@given(texts, texts, texts)
def test_the_folded_words_are_those_of_the_text(title: str, summary: str, text: str) -> None:
    found = Folded(title, summary, text).data
    assert [part.split() for part in found.split(b"\0")] == by_words(title, summary, text)
    assert found.startswith(b" ")
    assert found.endswith(b" ")
    assert b"  " not in found


@given(texts, texts, texts)
def test_every_word_leads_back_to_its_place_and_number(title: str, summary: str, text: str) -> None:
    folded = Folded(title, summary, text)
    wanted: list[tuple[str, int, int]] = []
    numbers: list[int] = []
    base = 0
    for number, field in enumerate((title, summary, text)):
        found = words(field)
        wanted += [(NAMES[number], word.start, word.end) for word in found]
        numbers += range(base, base + len(found))
        base += len(found) + FIELD_GAP
    starts = [match.start() for match in re.finditer(rb" (?=[^\0 ])", folded.data)]
    ends = [folded.data.index(b" ", start + 1) + 1 for start in starts]
    assert [folded.place(start, end) for start, end in zip(starts, ends, strict=True)] == wanted
    assert [folded.number(start) for start in starts] == numbers
    assert [folded.number(start) for start in reversed(starts)] == numbers[::-1]


@given(texts, texts, texts)
def test_the_zones_are_the_numbers_of_each_fields_words(title: str, summary: str, text: str) -> None:
    base, zones = 0, []
    for field in (title, summary, text):
        count = len(words(field))
        zones.append((base, base + count))
        base += count + FIELD_GAP
    assert Folded(title, summary, text).zones == tuple(zones)


def test_fields_are_named_as_evidence_names_them() -> None:
    folded = Folded("one", "two", "three")
    starts = [folded.data.index(word) - 1 for word in (b"one", b"two", b"three")]
    assert [folded.place(start, start + 3)[0] for start in starts] == ["title", "summary", "text"]


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "é " * 500_000,
        "’s" * 500_000,
        "制" * 1_000_000,
        "ا\u064b" * 500_000,
        "ß" * 1_000_000,
        ", " * 500_000,
    ],
    ids=["one word", "accents", "possessives", "Chinese", "Arabic marks", "two letters", "punctuation"],
)
def test_a_million_characters_are_folded_in_a_second_or_so(text: str) -> None:
    began = time.process_time()
    folded = Folded("", "", text)
    folded.place(len(folded.data) - 2 - len(folded.data[:-1].rpartition(b" ")[2]), len(folded.data))
    assert time.process_time() - began < 5


def test_a_word_is_not_taken_for_one_near_by_that_folds_alike() -> None:
    folded = Folded("", "", " b’s aero Ærø")
    second = folded.data.rindex(b" aero ")
    assert folded.place(second, second + 6) == ("text", 10, 13)

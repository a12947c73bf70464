"""The bounded YAML loader: plain data with places, and a sentence instead of a hang or a crash."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.scalars import Scalar
from monitor.config.yamlfile import (
    EMPTY,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_MISTAKES,
    MAX_NODES,
    Lines,
    YAMLError,
    decode,
    parse,
)

LOADS = {
    "bom",
    "duplicate_keys",
    "empty",
    "env_like",
    "list_top",
    "long_int",
    "scalar_top",
    "sexagesimal_bomb",
    "timestamp_overflow",
}
REFUSED = {
    "deep_flow_seq": "more than 20 levels of nesting",
    "half_written": "the list that `[` opens here is not closed, or a comma is missing in it",
    "merge_key_bomb": "anchors and aliases (`&a`) are not read",
    "python_object": "tags (`!…`) are not read",
    "set_tag": "tags (`!…`) are not read",
    "tabs": "a tab is used as indentation",
    "two_documents": "a second document begins here",
    "unhashable_key": "a key must be a word, not a list or mapping",
    "utf16": "the file is UTF-16, not UTF-8",
}


def error_of(text: str) -> YAMLError:
    with pytest.raises(YAMLError) as caught:
        parse(text)
    return caught.value


def test_every_hostile_sample_is_loaded_or_refused_with_a_sentence_within_two_seconds(shared_data: Path) -> None:
    outcomes = {}
    for path in sorted((shared_data / "hostile" / "yaml").glob("*.yaml")):
        began = time.monotonic()
        try:
            parse(decode(path.read_bytes()))
            outcomes[path.stem] = "loads"
        except YAMLError as error:
            outcomes[path.stem] = error.message
        assert time.monotonic() - began < 2, path.name
    assert {name: said for name, said in outcomes.items() if name in LOADS | REFUSED.keys()} == {
        **dict.fromkeys(LOADS, "loads"),
        **REFUSED,
    }


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: NO", {"a": "NO"}),
        ("a: on", {"a": "on"}),
        ("no: yes", {"no": "yes"}),
        ("a: 07:00", {"a": "07:00"}),
        ("a: 0755", {"a": "0755"}),
        ("a: 2026-01-02", {"a": "2026-01-02"}),
        ("a: 1e3", {"a": "1e3"}),
        ("a:", {"a": EMPTY}),
        ("a: ~", {"a": EMPTY}),
        ("a: null", {"a": EMPTY}),
        ('a: "null"', {"a": "null"}),
        ("a: ''", {"a": ""}),
        ("a: {b: [c, 'd e'], f: g}", {"a": {"b": ["c", "d e"], "f": "g"}}),
        ("a:\n- b: c\n  d: e\n- f", {"a": [{"b": "c", "d": "e"}, "f"]}),
        ("a: >-\n  b\n  c\n", {"a": "b c"}),
        ("# nothing but a comment\n", {}),
        (
            "a: {b: ${X}, c: [mailto://u:${PW}@h, '${Y}'], ${Z}: d}",
            {"a": {"b": "${X}", "c": ["mailto://u:${PW}@h", "${Y}"], "${Z}": "d"}},
        ),
        ("a: {b: ${X}, c: \ue000}", {"a": {"b": "${X}", "c": "\ue000"}}),
        ("", {}),
        ("---\na: b\n...\n", {"a": "b"}),
    ],
)
def test_scalars_stay_the_text_that_is_written(text: str, data: object) -> None:
    assert parse(text).data == data


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("a: [@b]", "text that begins with `@` must be quoted", 1, 5),
        ("a: %b", "text that begins with `%` must be quoted", 1, 4),
        ("a: *b", "anchors and aliases (`*b`) are not read", 1, 4),
        ("a: *.com", "text that begins with `*` must be quoted", 1, 4),
        ("a: &b c", "anchors and aliases (`&b`) are not read", 1, 4),
        ("a: !!python/object/apply:os.system [x]", "tags (`!…`) are not read", 1, 4),
        ("<<: {a: b}", "merge keys (`<<`) are not read", 1, 1),
        ("a: b: c", "a `:` stands where none can", 1, 5),
        ("x: y\na: 'b\nc: d", "the quote that opens here is never closed", 2, 4),
        ("a: {b: c\nd: e", "the mapping that `{` opens here is not closed, or a comma is missing in it", 1, 4),
        ('a: "\\d"', "a backslash in double quotes begins an escape, and this is none", 1, 6),
        ("a:\n  b: c\n d: e", "this does not line up with the lines above, or stands behind a quoted text", 3, 2),
        ("a: b\n--- \nc: d", "a second document begins here", 2, 1),
        (": b", "this does not line up with the lines above, or stands behind a quoted text", 1, 1),
        ("? \n: b", "a key is empty here", 1, 2),
        ("a: \x07", "the file holds the control character U+0007", 1, 4),
    ],
)
def test_a_mistake_is_said_in_a_sentence_at_its_place(text: str, message: str, line: int, column: int) -> None:
    error = error_of(text)
    assert (error.message, error.line, error.column) == (message, line, column)
    assert error.fix


def test_every_key_that_is_written_twice_is_reported_with_both_lines() -> None:
    document = parse("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")
    assert [(m.message, m.line, m.column) for m in document.mistakes] == [
        ("`c` is written twice: on line 3 and here", 4, 3),
        ("`a` is written twice: on line 1 and here", 5, 1),
    ]


@pytest.mark.parametrize(("escape", "code"), [(r"\ud800", "U+D800"), (r"\0", "U+0000"), (r"\x1b", "U+001B")])
def test_characters_that_no_message_can_show_are_refused_also_as_escapes(escape: str, code: str) -> None:
    (mistake,) = parse(f'a: "{escape}"').mistakes
    assert code in mistake.message


def test_a_file_may_begin_with_a_byte_order_mark() -> None:
    assert decode(b"\xef\xbb\xbfa: b") == "a: b"


def test_bytes_that_are_not_utf8_are_refused_where_they_stand() -> None:
    with pytest.raises(YAMLError) as caught:
        decode("a: b\nc: größe".encode("latin-1"))
    assert (caught.value.message, caught.value.line, caught.value.column) == (
        "the file is not UTF-8 from here on",
        2,
        6,
    )


def test_the_bounds_hold() -> None:
    with pytest.raises(YAMLError, match="larger than 4 MB"):
        decode(b"#" * (MAX_BYTES + 1))
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH).data
    assert "levels of nesting" in error_of("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)).message
    assert "longer than 200" in error_of(f"{'k' * 201}: v").message


def test_more_values_than_the_cap_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_NODES == 200_000
    monkeypatch.setattr("monitor.config.yamlfile.MAX_NODES", 100)
    assert "more than 100 values" in error_of("\n".join(f"- {n}" for n in range(200))).message


SOURCE = """\
plain: one two AND three
single: 'it''s (b OR "c d")'
double: "x \\"q\\" \\u0041 y\\tz"
literal: |
  one two
    three AND four

  five
folded: >-
  one two
  three  AND

  five x
wrapped: plain text
  folded  here
items: [ab, 'c d']
"""


@pytest.mark.parametrize("key", ["plain", "single", "double", "literal", "folded", "wrapped"])
def test_each_visible_character_of_a_value_is_found_where_it_is_written(key: str) -> None:
    document = parse(SOURCE)
    assert isinstance(document.data, dict)
    value = document.data[key]
    scalar = document.values[(key,)]
    assert isinstance(scalar, Scalar)
    assert isinstance(value, str)
    for offset, character in enumerate(value):
        found = SOURCE[scalar.locate(SOURCE, offset, value)]
        assert character.isspace() or found in (character, "\\"), (offset, character)
    assert scalar.locate(SOURCE, len(value), value) <= scalar.end


def test_the_third_line_of_a_literal_block_is_the_third_line_of_its_text() -> None:
    document = parse(SOURCE)
    value = document.data["literal"] if isinstance(document.data, dict) else None
    scalar = document.values["literal",]
    assert isinstance(scalar, Scalar)
    assert isinstance(value, str)
    assert Lines(SOURCE).place(scalar.locate(SOURCE, value.index("AND"), value)) == (6, 11)


def outcome(text: str) -> tuple[str, int]:
    try:
        parse(text)
    except YAMLError as error:
        return error.message, error.line
    return "loads", 1


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_loads_or_is_refused_with_a_sentence_at_a_line(text: str) -> None:
    said, line = outcome(text)
    assert said
    assert line >= 1


@given(st.text(alphabet="ab:-[]{},'\"|>&*!#%@` \n\t", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_punctuation_loads_or_is_refused_with_a_sentence_at_a_line(text: str) -> None:
    said, line = outcome(text)
    assert said
    assert line >= 1


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_text_or_are_refused_as_not_utf8(raw: bytes) -> None:
    try:
        text = decode(raw)
    except YAMLError as error:
        text = error.message
    assert isinstance(text, str)


def test_a_key_that_is_repeated_without_end_is_told_of_a_hundred_times() -> None:
    found = parse("a: 1\n" * 1_000).mistakes
    assert len(found) == MAX_MISTAKES + 1
    assert found[-1].message == "899 more keys or texts have mistakes like these"
    assert len(parse("a: 1\n" * 101).mistakes) == MAX_MISTAKES


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-be", "utf-32-be"])
def test_a_file_in_wide_characters_is_called_by_its_name(encoding: str) -> None:
    with pytest.raises(YAMLError, match=f"the file is {encoding.upper().removesuffix('-BE')}, not UTF-8"):
        decode("\ufeffa: 1".encode(encoding) if encoding.endswith("be") else "a: 1".encode(encoding))

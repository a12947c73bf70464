"""Rules of other programs, as `monitor import topics` reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import InputError
from monitor.foreign import forms, read_rules, told_form
from monitor.query import parse

TRENDRADAR = r"""
[GLOBAL_FILTER]
rumour
!horoscope

[WORD_GROUPS]
# the east
[East Asia]
日本
韩国
+军事

Huawei
/\bOPPO\b/ => Phones
!apple pie
@5

Trump
+tariff
"""
MINIFLUX = """EntryTitle=(?i)sanctions|embargo
EntryContent=/path
EntryAuthor=Jane Doe|John Roe
EntryDate=max-age:7d
EntryURL=sport
"""
GOOGLE = """troops border OR frontier -football
"armed forces" (border | frontier) site:example.org
Google Alert - "Ardent Lark"
-only
a AROUND(3) b
C++ language
"""
FRESHRSS = r"""intitle:sanctions author:"Jane Doe" OR #iran -inurl:sport
(a OR b c) !d
/cve-\d+/i date:P1W
troops /cve-\d+\/x/i
"""


def queries(text: str, form: str = "") -> list[str]:
    return [topic["query"] for topic in read_rules(text.encode(), form).topics.values()]


def test_groups_of_trendradar_are_topics_with_what_they_need_and_what_all_exclude() -> None:
    found = read_rules(TRENDRADAR.encode())
    assert {name: (topic["title"], topic["query"]) for name, topic in found.topics.items()} == {
        "east-asia": ("East Asia", "军事 AND (日本 OR 韩国) AND NOT (rumour OR horoscope)"),
        "phones": ("Phones", r'(Huawei OR /\bOPPO\b/) AND NOT ("apple pie" OR rumour OR horoscope)'),
        "tariff-trump": ("tariff Trump", "tariff AND Trump AND NOT (rumour OR horoscope)"),
    }
    assert found.notes == [
        "line 16: “@5”: how many are shown is up to a subscription's `at_most`",
        "TrendRadar finds parts of words, in titles; here whole words count, in the whole story",
    ]


def test_each_rule_of_miniflux_is_a_topic_and_what_has_no_like_is_told() -> None:
    found = read_rules(MINIFLUX.encode())
    assert [topic["query"] for topic in found.topics.values()] == [
        "title:/sanctions|embargo/i",
        r"(lead:/\/path/ OR body:/\/path/)",
        'author:("Jane Doe" OR "John Roe")',
    ]
    assert [note.partition(":")[0] for note in found.notes] == ["line 4", "line 5"]
    assert "`EntryDate` of this kind has no like here; it is left out" in found.notes[0]


def test_or_binds_more_in_google_and_less_in_freshrss() -> None:
    assert queries("troops border OR frontier", "google") == ["troops AND (border OR frontier)"]
    assert queries("troops border OR frontier", "freshrss") == ["(troops AND border) OR frontier"]


def test_searches_are_read_as_their_program_does() -> None:
    found = read_rules(GOOGLE.encode())
    assert [topic["query"] for topic in found.topics.values()] == [
        "troops AND (border OR frontier) AND NOT football",
        '"armed forces" AND (border OR frontier) AND site:example.org',
        '"Ardent Lark"',
        "{C++} AND language",
    ]
    assert [note.partition("”: ")[2] for note in found.notes] == [
        "it says only what is absent, or nothing; it is left out",
        "write AROUND(n) as `a NEAR/n b`; it is left out",
    ]
    found = read_rules(FRESHRSS.encode())
    assert [topic["query"] for topic in found.topics.values()] == [
        '(title:sanctions AND author:"Jane Doe") OR (tag:iran AND NOT url:sport)',
        "(a OR (b AND c)) AND NOT d",
        r"troops AND /cve-\d+\/x/i",
    ]
    assert found.notes == [r"line 3: “/cve-\d+/i date:P1W”: `date:` has no like here; it is left out"]


def test_whose_rules_they_are_is_told_by_their_lines() -> None:
    told = [told_form(text.splitlines()) for text in (TRENDRADAR, MINIFLUX, GOOGLE, FRESHRSS)]
    assert told == ["trendradar", "miniflux", "google", "freshrss"]


def test_no_rule_reads_a_variable_of_whoever_loads_it() -> None:
    (topic,) = read_rules(b'"${MONITOR_SECRET_KEY}" troops').topics.values()
    assert "${" not in topic["query"] + topic["title"]


def test_names_are_distinct_and_fit_the_file() -> None:
    assert list(read_rules("troops\nTroops!\nहिन्दी\n".encode()).topics) == ["troops", "troops-2", "line-3"]


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="not text in UTF-8"):
        read_rules(b"\xff\xfe\x00")


@given(st.text(alphabet='ab -!+"()[]|/\\:#@=>\nORANDT*', max_size=80), st.sampled_from(list(forms())))
def test_whatever_is_read_is_a_query_or_a_note(text: str, form: str) -> None:
    for topic in read_rules(text.encode(), form).topics.values():
        parse(topic["query"])


def test_parentheses_without_end_are_told() -> None:
    found = read_rules(b"(" * 5000 + b"troops", "google")
    assert not found.topics
    assert "too many parentheses" in found.notes[0]

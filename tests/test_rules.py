"""Rules: which stories a query or a topic finds, and by what."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import Config, Entity, EntityList, Topic
from monitor.query import Near, Node, Or, Phrase, Term
from monitor.rules import Evidence, compile_query, compile_rules
from monitor.text import StoryText, words

ENTITIES = {
    name: Entity.model_validate({"name": name, "title": title, "aliases": aliases})
    for name, title, aliases in (
        ("sudan", "Sudan", ["السودان"]),
        ("south-sudan", "South Sudan", []),
        ("petro", "Gustavo Petro", ["President Petro", "Petro", "Густаво Петро"]),
        ("us", "United States", ["US"]),
        ("ardent-lark", "Ardent Lark", []),
    )
}
LISTS = {"africa": EntityList.model_validate({"name": "africa", "entities": ["sudan", "south-sudan"]})}
CONFIG = Config(
    entities=ENTITIES, lists=LISTS, macros={"military": 'troops OR soldier* OR "armed forces"', "noise": "NOT football"}
)


def story(
    title: str = "",
    summary: str = "",
    text: str = "",
    *,
    language: str = "",
    source: str = "",
    feed: str = "",
    tags: tuple[str, ...] = (),
    url: str = "",
    author: str = "",
    country: str = "",
) -> StoryText:
    return StoryText("1", title, summary, text, language, source, feed, tags, url, author, country)


def topic(name: str = "t", **values: Any) -> Topic:
    return Topic.model_validate({"name": name, **values})


def found(query: str, text: StoryText) -> list[tuple[str, str, str]] | None:
    """Return field, matched text and term of each span, or None where the query does not match."""
    matches = compile_query(query, CONFIG).match(text)
    return None if not matches else [(e.field, published(text, e), e.term) for e in matches[0].evidence]


def published(text: StoryText, evidence: Evidence) -> str:
    values = {"tag": "", "lang": text.language} | {
        name: getattr(text, name) for name in ("title", "summary", "text", "author", "url", "source", "feed", "country")
    }
    return str(values[evidence.field])[evidence.start : evidence.end]


# A query, a headline, and the matched texts (None: no match).
TITLES: list[tuple[str, str, list[str] | None]] = [
    # terms
    ("border", "Border closed", ["Border"]),
    ("border", "Borders closed", None),
    ("isis", "A crisis", None),
    ("bogota", "En Bogotá hoy", ["Bogotá"]),
    ("Bogotá", "BOGOTA today", ["BOGOTA"]),
    ("αθηνα", "Στην Αθήνα", ["Αθήνα"]),
    ("strasse", "Die Straße", ["Straße"]),
    ("İstanbul", "istanbul", ["istanbul"]),
    ("petro", "Petro's plan", ["Petro"]),
    ("al-Shabaab", "Al Shabaab attacks", ["Al Shabaab"]),
    ("al-Shabaab", "Shabaab al", None),
    ("AT&T", "AT & T sold", ["AT & T"]),
    ("محمد", "مُحَمَّد", ["مُحَمَّد"]),
    ("制裁", "五国宣布制裁措施", ["制裁"]),
    ("制裁", "制度裁员", None),
    ("ประเทศ", "ประเทศไทย", ["ประเทศ"]),
    ("군대", "군대 이동", ["군대"]),
    ("군대가*", "군대가족", ["군대가족"]),
    ("cafe", "cafe\u0301 society", ["cafe\u0301"]),
    # wildcards
    ("deploy*", "Deploy, deployed, redeployed", ["Deploy", "deployed"]),
    ("organi*ation", "organisation organization organics", ["organisation", "organization"]),
    ("wom?n", "Woman and women, womaan, womn", ["Woman", "women"]),
    ("sanctio?*", "sanction sanctions sanctio", ["sanction", "sanctions"]),
    ("санкци*", "Новые санкции", ["санкции"]),
    ("al-Shab*", "al-Shabab", ["al-Shabab"]),
    # phrases
    ('"border patrol"', "The border patrol, the patrol border", ["border patrol"]),
    ('"border patrol"', "border and patrol", None),
    ('"armed forc*"', "Armed-forces day", ["Armed-forces"]),
    ('"soldier pay"', "soldier's pay", ["soldier's pay"]),
    ('"new new york"', "New new new York", ["new new York"]),
    ('"troops border"~2', "border under new troops", ["border under new troops"]),
    ('"troops border"~2', "border with three new troops", None),
    ('"troops border"~0', "border troops", ["border troops"]),
    ('"a b c"~1', "c x a b", ["c x a b"]),
    ('"a b c"~1', "c x a y b", None),
    ('"a a"~3', "a b", None),
    ('"al-Shabaab Somalia"~1', "Somalia on al-Shabaab", ["Somalia on al-Shabaab"]),
    ('"北京 上海"~3', "从上海到北京", ["上海到北京"]),
    # exact
    ("{US}", "US and us", ["US"]),
    ("{US}", "USA", None),
    ("{US}", "Tell us", None),
    ("{AT&T}", "AT&T and AT & T", ["AT&T"]),
    ("{C++}", "C++ and C", ["C++"]),
    ("{Bogotá}", "Bogota", None),
    ("{New York}", "New York", ["New York"]),
    # regular expressions, on the text as published
    (r"/cve-\d{4}-\d+/i", "See CVE-2024-123, cve-2023-9", ["CVE-2024-123", "cve-2023-9"]),
    ("/CVE/", "cve", None),
    ("/bogota/i", "Bogotá", None),
    ("/é/i", "CAFÉ", ["É"]),
    (r"/a\/b/", "a/b", ["a/b"]),
    (r"/\$\d+/ NEAR/1 million", "It paid $5, two million", ["$5", "million"]),
    (r"/\$\$/ AND x", "x $$", ["x", "$$"]),
    ("title:/!!/", "!!!", ["!!"]),
    ("/rder tro/ ONEAR/0 wait", "border troops wait", ["rder tro", "wait"]),
    ("ATLEAST/3(/a./)", "ab ac ad", ["ab", "ac", "ad"]),
    ("ATLEAST/3(/a./)", "ab ac", None),
    # operators
    ("a AND b", "a c b", ["a", "b"]),
    ("a AND b", "a c", None),
    ("a OR b", "b and a", ["b", "a"]),
    ("a AND NOT b", "a c", ["a"]),
    ("a AND NOT b", "a b", None),
    ("a AND (b OR c)", "a c", ["a", "c"]),
    ("(a AND b) OR c", "c a", ["c"]),  # the false branch gives no evidence
    ("a AND NOT (b AND c)", "a b", ["a"]),
    ("a AND NOT (NOT b)", "a b", ["a"]),
    ("$military AND $noise", "Soldiers march", ["Soldiers"]),
    ("$military AND $noise", "Soldiers play football", None),
    # nearness
    ("a NEAR/1 b", "b x a", ["b", "a"]),
    ("a NEAR/1 b", "b x y a", None),
    ("a NEAR/0 b", "a b", ["a", "b"]),
    ("a NEAR/2 b", "a x x x b a", ["b", "a"]),  # the first a is too far
    ("a NEAR/5 a", "a", None),  # a word is not near itself
    ("a NEAR/5 a", "a x a", ["a", "a"]),
    ("(a OR b) NEAR/5 (b OR c)", "b x", None),
    ("border* NEAR/5 border", "border", None),
    ("a ONEAR/1 b", "a x b", ["a", "b"]),
    ("a ONEAR/1 b", "b x a", None),
    ('"x y" NEAR/1 b', "x y z b", ["x y", "b"]),
    ('"x y" NEAR/1 b', "b z x y", ["b", "x y"]),
    ("a NEAR/2 b NEAR/2 c", "a b c", ["a", "b", "c"]),
    ("a NEAR/2 b NEAR/2 c", "c x b a", ["c", "b", "a"]),
    ("a NEAR/2 b NEAR/2 c", "c x x b a", None),  # any two within the distance
    ("a ONEAR/3 b ONEAR/3 c", "a x b c", ["a", "b", "c"]),
    ("a ONEAR/3 b ONEAR/3 c", "a c b", None),
    ("@petro NEAR/2 border", "President Petro at the border", ["President Petro", "border"]),
    ("$military NEAR/3 border", "the armed forces near the border", ["armed forces", "border"]),
    # counts, sentences, beginnings
    ("ATLEAST/2(a OR b)", "a x b", ["a", "b"]),
    ("ATLEAST/3(a OR b)", "a x b", None),
    ("ATLEAST/2(border OR border*)", "border", None),
    ("SENTENCE(a AND b)", "A b c. D", ["A", "b"]),
    ("SENTENCE(aa AND bb)", "Xx aa. Bb xx.", None),
    ("SENTENCE(aa AND NOT bb)", "Xx aa. Bb xx.", ["aa"]),
    ("FIRST/2(b)", "a b c", ["b"]),
    ("FIRST/2(c)", "a b c", None),
    # entities
    ("@sudan", "Sudan votes", ["Sudan"]),
    ("@sudan", "South Sudan votes", None),
    ("@sudan", "South Sudan and Sudan", ["Sudan"]),
    ("sudan", "South Sudan votes", ["Sudan"]),  # a bare word is a word
    ("@africa", "South Sudan and Sudan", ["South Sudan", "Sudan"]),
    ("@us", "Tell us", None),
    ("@petro", "ГУСТАВО ПЕТРО", ["ГУСТАВО ПЕТРО"]),
]


@pytest.mark.parametrize(("query", "title", "expected"), TITLES, ids=[f"{q} | {t}" for q, t, _ in TITLES])
def test_a_query_finds_exactly_its_words_in_a_headline(query: str, title: str, expected: list[str] | None) -> None:
    spans = found(query, story(title))
    assert (spans if spans is None else [text for _, text, _ in spans]) == expected


LONG = " ".join(f"w{n}" for n in range(100))
FULL = story(
    "Border talks",
    "Troops wait",
    "Tanks roll at dawn. Border shut",
    language="en-GB",
    source="BBC News",
    feed="bbc-world",
    tags=("World News", "asia"),
    url="https://www.news.example.org/politics/2024/border-row?x=1",
    author="Ana Pérez-Gil",
    country="GB",
)

# A query, a story, and field and matched text of each span.
FIELDS: list[tuple[str, StoryText, list[tuple[str, str]] | None]] = [
    ("border", FULL, [("title", "Border"), ("text", "Border")]),
    ("title:border", FULL, [("title", "Border")]),
    ("title:(border AND troops)", FULL, None),
    ("lead:(border AND troops)", FULL, [("title", "Border"), ("summary", "Troops")]),
    ("lead:tanks", FULL, None),
    ("body:border AND title:talks", FULL, [("title", "talks"), ("text", "Border")]),
    ("border AND NOT body:talks", FULL, [("title", "Border"), ("text", "Border")]),
    ("talks NEAR/100 troops", FULL, None),  # not across fields
    ('"talks troops"', FULL, None),
    ("title:border NEAR/3 talks", FULL, [("title", "Border"), ("title", "talks")]),
    ("title:(border NEAR/3 talks)", FULL, [("title", "Border"), ("title", "talks")]),
    ("FIRST/5(tanks)", FULL, [("text", "Tanks")]),
    ("FIRST/4(tanks)", FULL, None),
    ("body:FIRST/5(border)", FULL, None),
    ("body:SENTENCE(border AND shut)", FULL, [("text", "Border"), ("text", "shut")]),
    ("SENTENCE(roll AND shut)", FULL, None),
    ("lead:w59", story("T", "", LONG), [("text", "w59")]),
    ("lead:w60", story("T", "", LONG), None),
    ("lead:w59", story("T", "S", LONG), None),
    ("author:perez", FULL, [("author", "Pérez")]),
    ('author:"ana perez"', FULL, [("author", "Ana Pérez")]),
    ("author:@petro", story(author="By Gustavo Petro"), [("author", "Gustavo Petro")]),
    ("source:bbc", FULL, [("source", "BBC")]),
    ("source:{BBC}", FULL, [("source", "BBC")]),
    ("source:bb", FULL, None),
    ("url:politics", FULL, [("url", "politics")]),
    ("url:/politics/2024/", FULL, [("url", "politics/2024")]),
    ("url:border-row", FULL, [("url", "border-row")]),
    ("site:example.org", FULL, [("url", "www.news.example.org")]),
    ("site:news.example.org", FULL, [("url", "www.news.example.org")]),
    ("site:*.org", FULL, [("url", "www.news.example.org")]),
    ("site:ample.org", FULL, None),
    ("site:example.org", story(url="https://example.org.evil.test/"), None),
    ("site:example.org", story(url="http://[broken"), None),
    ("feed:bbc-world", FULL, [("feed", "bbc-world")]),
    ("feed:bbc-*", FULL, [("feed", "bbc-world")]),
    ("feed:bbc", FULL, None),
    ("lang:en", FULL, [("lang", "en-GB")]),
    ("lang:EN-gb", FULL, [("lang", "en-GB")]),
    ("lang:en-US", FULL, None),
    ("lang:(es OR en)", FULL, [("lang", "en-GB")]),
    ("lang:en", story(language="eng"), None),
    ("country:gb", FULL, [("country", "GB")]),
    ("country:gb", story(), None),
    ("border AND NOT source:bbc", FULL, None),
    ("tag:asia", FULL, [("tag", "")]),
    ('tag:"world news"', FULL, [("tag", "")]),
    ("tag:world", FULL, None),
    ("tag:world*", FULL, [("tag", "")]),
    ("tag:@sudan", story(tags=("sudan",)), [("tag", "")]),
]


@pytest.mark.parametrize(("query", "text", "expected"), FIELDS, ids=[query for query, _, _ in FIELDS])
def test_a_field_is_searched_alone(query: str, text: StoryText, expected: list[tuple[str, str]] | None) -> None:
    spans = found(query, text)
    assert (spans if spans is None else [(field, matched) for field, matched, _ in spans]) == expected


def test_context_of_a_weak_alias_may_stand_anywhere_in_the_story() -> None:
    boric = Entity.model_validate({"name": "boric", "title": "Gabriel Boric", "weak": ["Boric"], "context": ["Chile"]})
    rules = compile_query("@boric OR author:@boric", Config(entities={"boric": boric}))
    (match,) = rules.match(story("Boric speaks", "", "From Chile"))
    assert match.evidence == (Evidence("title", 0, 5, "@boric", "boric"),)
    assert rules.match(story("A speech", "", "From Chile", author="Boric"))
    assert rules.match(story("Gabriel Boric"))
    assert not rules.match(story("Boric speaks", source="Chile"))
    assert rules.entities(story("Boric speaks")) == {}
    tagged = compile_query("tag:@boric", Config(entities={"boric": boric}))
    assert not tagged.match(story("Chile", tags=("Boric",)))


def test_an_inflected_entity_is_found_in_the_language_of_the_story() -> None:
    people = {"xi": Entity.model_validate({"name": "xi", "title": "Трамп", "inflected": True})}
    (match,) = compile_query("@xi", Config(entities=people)).match(story("Встреча с Трампом", language="ru"))
    assert match.evidence == (Evidence("title", 10, 17, "@xi", "xi"),)
    assert not compile_query("@xi", Config(entities=people)).match(story("Встреча с Трампом", language="kk"))


def test_evidence_names_the_term_as_written_and_the_entity() -> None:
    (match,) = compile_query("deploy* AND @africa", CONFIG).match(story("South Sudan deploys", "Deployed"))
    assert match.evidence == (
        Evidence("title", 0, 11, "@africa", "south-sudan"),
        Evidence("title", 12, 19, "deploy*"),
        Evidence("summary", 0, 8, "deploy*"),
    )


def test_evidence_is_sorted_without_repeats_and_bounded() -> None:
    (match,) = compile_query('a AND (a OR "a b") AND (a NEAR/3 b)', CONFIG).match(story("a b a", "b", "a"))
    assert [(e.field, e.start, e.term) for e in match.evidence] == [
        ("title", 0, '"a b"'),
        ("title", 0, "a"),
        ("title", 2, "b"),
        ("title", 4, "a"),
        ("text", 0, "a"),
    ]
    (match,) = compile_query("a", CONFIG).match(story(text="a " * 5_000))
    assert len(match.evidence) == 200


def test_entities_of_a_story_come_with_the_alias_found() -> None:
    entities = compile_query("x", CONFIG).entities(story("President Petro in South Sudan", "", "Petro left. السودان"))
    assert entities == {
        "petro": (
            Evidence("title", 0, 15, "President Petro", "petro"),
            Evidence("text", 0, 5, "Petro", "petro"),
        ),
        "south-sudan": (Evidence("title", 19, 30, "South Sudan", "south-sudan"),),
        "sudan": (Evidence("text", 12, 19, "السودان", "sudan"),),
    }


# A language, a query, a headline, and the matched texts.
FORMS: list[tuple[str, str, str, list[str] | None]] = [
    ("en", "FORMS(deploy)", "Deploys, deployed and deploying; redeployed", ["Deploys", "deployed", "deploying"]),
    ("en-GB", "FORMS(cities)", "The city", ["city"]),
    ("en", 'FORMS("armed force")', "Armed forces, forces armed", ["Armed forces"]),
    ("en", "FORMS(soldier OR tank) NEAR/2 FORMS(march)", "Soldiers were marching", ["Soldiers", "marching"]),
    ("en", 'FORMS("troop deploy"~2)', "deploying more troops", ["deploying more troops"]),
    ("en", "ATLEAST/2(FORMS(troop))", "Troop, troops", ["Troop", "troops"]),
    ("en", "FORMS(deploy)", "A ploy", None),
    ("es", "FORMS(nación)", "Naciones y NACION", ["Naciones", "NACION"]),
    ("es", "FORMS(nacion)", "las naciones", ["naciones"]),
    ("de", "FORMS(Verband)", "Die Verbände des Verbandes", ["Verbände", "Verbandes"]),
    ("ru", "FORMS(санкция)", "Новые санкции, санкциями", ["санкции", "санкциями"]),
    ("pl", "FORMS(żołnierz)", "Żołnierze i żołnierzami", ["Żołnierze", "żołnierzami"]),
    ("tr", "FORMS(asker)", "Türk askerleri", ["askerleri"]),
    ("ar", "FORMS(عقوبات)", "بالعقوبات والعقوبات للعقوبات", ["بالعقوبات", "والعقوبات", "للعقوبات"]),
    ("ar", "FORMS(العقوبات)", "بعقوبات", ["بعقوبات"]),
    ("ar", "FORMS(وزير)", "لوزير الزير", ["لوزير"]),
    ("ar", "عقوبات", "بالعقوبات", None),
    ("zh", "FORMS(制裁)", "宣布制裁措施", ["制裁"]),
    ("uk", "FORMS(deploy)", "deploy deployed", ["deploy"]),  # there is no stemmer: the word itself
    ("", "FORMS(deploy)", "Deployed", ["Deployed"]),  # too short to tell the language: by the script
    ("", "FORMS(санкция)", "санкции", ["санкции"]),
    ("", "FORMS(عقوبات)", "بالعقوبات", ["بالعقوبات"]),
    ("", "FORMS(canción)", "Escuchamos las canciones que cantaban los niños en la calle", ["canciones"]),
]


@pytest.mark.parametrize(
    ("language", "query", "title", "expected"), FORMS, ids=[f"{f[0]} {f[1]} | {f[2]}" for f in FORMS]
)
def test_forms_are_those_of_the_storys_language(
    language: str, query: str, title: str, expected: list[str] | None
) -> None:
    spans = found(query, story(title, language=language))
    assert (spans if spans is None else [text for _, text, _ in spans]) == expected


SPANISH = "El presidente viajó ayer a la frontera para hablar con los soldados"


def test_a_language_that_nobody_states_is_detected_for_the_rules_that_ask() -> None:
    assert found("lang:es", story(SPANISH)) == [("lang", "", "es")]
    assert found("lang:es", story(SPANISH, language="fr")) is None
    assert found("lang:es", story("x")) is None
    assert matches(topic(query="soldados", scope={"languages": ["es"]}), story(SPANISH))
    assert not matches(topic(query="soldados", scope={"languages": ["fr"]}), story(SPANISH))


def test_a_language_is_detected_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str) -> str:
        raise AssertionError(text)

    monkeypatch.setattr("monitor.text.detect", refuse)
    assert found("soldados AND NOT x", story(SPANISH))
    assert found("FORMS(soldado)", story(SPANISH, language="es"))
    assert matches(topic(query="soldados", scope={"languages": ["es"]}), story(SPANISH, language="es"))


# --- the whole against a slow and obvious reader

_NAMES = st.sampled_from(["a", "b", "c", "d"])


def _slow_near(places: Sequence[Sequence[tuple[int, int]]], distance: int, ordered: bool) -> bool:
    """Try every choice of one span of each group."""
    for choice in itertools.product(*places):
        spans = list(choice) if ordered else sorted(choice)
        apart = [later[0] - earlier[1] - 1 for earlier, later in itertools.pairwise(spans)]
        if all(gap >= 0 for gap in apart) and spans[-1][0] - spans[0][1] - 1 <= distance:
            return True
    return False


def _slow_places(node: Node, text: Sequence[str]) -> list[tuple[int, int]]:
    if isinstance(node, Or):
        return sorted(place for child in node.children for place in _slow_places(child, text))
    assert isinstance(node, Term | Phrase)
    wanted = node.text.split()
    return [(n, n + len(wanted) - 1) for n in range(len(text)) if list(text[n : n + len(wanted)]) == wanted]


_spots = st.one_of(
    st.builds(Term, _NAMES),
    st.builds(Phrase, st.sampled_from(["a b", "b a", "a a", "c d a"])),
    st.builds(Or, st.lists(st.builds(Term, _NAMES), min_size=2, max_size=3).map(tuple)),
)


@settings(deadline=None, max_examples=600)
@given(
    st.lists(_spots, min_size=2, max_size=4).map(tuple),
    st.integers(0, 4),
    st.booleans(),
    st.lists(st.sampled_from("abcdxx"), max_size=12),
)
def test_near_agrees_with_trying_every_choice(
    groups: tuple[Node, ...], distance: int, ordered: bool, text: list[str]
) -> None:
    query = str(Near(groups, distance, ordered))
    expected = _slow_near([_slow_places(group, text) for group in groups], distance, ordered)
    assert bool(compile_query(query, CONFIG).match(story(" ".join(text)))) == expected


@settings(deadline=None, max_examples=400)
@given(st.lists(_NAMES, min_size=2, max_size=4), st.integers(0, 4), st.lists(st.sampled_from("abcdxx"), max_size=10))
def test_a_loose_phrase_agrees_with_trying_every_choice(wanted: list[str], within: int, text: list[str]) -> None:
    places = [[n for n, word in enumerate(text) if word == name] for name in wanted]
    expected = any(
        len(set(choice)) == len(choice) and max(choice) - min(choice) + 1 - len(choice) <= within
        for choice in itertools.product(*places)
    )
    query = str(Phrase(" ".join(wanted), within))
    assert bool(compile_query(query, CONFIG).match(story(" ".join(text)))) == expected


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("aaa* NEAR/100 b", "aaa " * 100_000),
        ("aaa NEAR/0 bbb", "aaa x bbb " * 50_000),
        ("a NEAR/3 b NEAR/3 c NEAR/3 d NEAR/3 e NEAR/3 f NEAR/3 g NEAR/3 h", "a b c d e f g " * 10_000),
        ("aaa*b*b*b*c", "aaa" + "b" * 200_000),
        ('"a a a a b"', "a " * 200_000),
        ("SENTENCE(aa AND bb)", "Aa. " * 100_000),
        ("ATLEAST/1000(a)", "a " * 200_000),
        ("/a(.*b)?/", "a" * 5_000_000),
        ("/[ab]*a[ab]{200}c/", "abb" * 1_500_000),
        ("FORMS(deploy)", "deployed " * 100_000),
        ("FORMS(deploy)", "д" * 1_000_000),
        ('FORMS("a b c d"~9)', "a " * 400_000),
    ],
    ids=[
        *("wild near", "just too far", "eight groups", "stars", "phrase", "sentences", "count"),
        *("expression to the end", "expression of many states", "forms", "long form", "loose forms"),
    ],
)
def test_hostile_stories_are_decided_in_seconds(query: str, text: str) -> None:
    rules = compile_query(query, CONFIG)
    started = time.process_time()
    rules.match(story("x", "", text))
    assert time.process_time() - started < 5  # under two on a quiet machine


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=200), st.text(max_size=50))
def test_a_word_of_any_text_is_found_where_it_stands(text: str, title: str) -> None:
    text_story = story(title, "", text)
    for word in words(text)[:3]:
        if not any(character.isalnum() for character in word.folded):
            continue  # a character newer than this Python's Unicode
        (match,) = compile_query(f'"{word.folded}"', CONFIG).match(text_story)
        assert any(e.field == "text" and e.start <= word.start and word.end <= e.end for e in match.evidence)


# --- topics


def matches(declared: Topic, text: StoryText) -> bool:
    return bool(compile_rules(Config(entities=ENTITIES, lists=LISTS, topics={declared.name: declared})).match(text))


GROUPS = [{"any": ["border", "buffer zone"]}, {"any": ["troops", "soldier*"]}]
LISTED: list[tuple[dict[str, Any], str, bool]] = [
    ({"any": ["border", "buffer zone"]}, "The buffer zone", True),
    ({"any": ["border", "buffer zone"]}, "The zone buffer", False),
    ({"all": GROUPS}, "Soldiers at the border", True),
    ({"all": GROUPS}, "Calm at the border", False),
    ({"all": GROUPS, "none": ["football"]}, "Soldiers at the border play football", False),
    ({"all": GROUPS, "near": 2}, "Soldiers at the border", True),
    ({"all": GROUPS, "near": 1}, "Soldiers at the border", False),
    ({"all": GROUPS, "any": ["tank*"]}, "Soldiers at the border", False),
    ({"all": GROUPS, "any": ["tank*"], "near": 2}, "Soldiers at the border and so much later some tanks", True),
    ({"any": ["border NEAR/1 troops"]}, "border troops", True),
    ({"query": "border", "any": ["troops"]}, "border troops", True),
    ({"query": "border", "any": ["troops"]}, "border", False),
    ({"query": "NOT football", "any": ["troops"]}, "troops", True),
    ({"any": ["@africa"]}, "Sudan", True),
]


@pytest.mark.parametrize(("values", "title", "expected"), LISTED)
def test_lists_and_query_of_a_topic_all_hold(values: dict[str, Any], title: str, expected: bool) -> None:
    assert matches(topic(**values), story(title)) is expected


SCOPES: list[tuple[dict[str, Any], StoryText, bool]] = [
    ({}, story("x"), True),
    ({"languages": ["en", "es"]}, story("x", language="en-GB"), True),
    ({"languages": ["en"]}, story("x", language="de"), False),
    ({"languages": ["en"]}, story("x"), True),  # of unknown language
    ({"tags": ["World"]}, story("x", tags=("asia", "world")), True),
    ({"tags": ["World"]}, story("x"), False),
    ({"feeds": ["bbc"]}, story("x", feed="bbc"), True),
    ({"feeds": ["bbc"]}, story("x", feed="cnn"), False),
    ({"languages": ["en"], "feeds": ["bbc"]}, story("x", language="de", feed="bbc"), False),
]


@pytest.mark.parametrize(("scope", "text", "expected"), SCOPES)
def test_a_topic_looks_only_at_stories_in_its_scope(scope: dict[str, Any], text: StoryText, expected: bool) -> None:
    assert matches(topic(query="x", scope=scope), text) is expected


def test_matches_come_in_the_declared_order_with_the_version_of_the_rule() -> None:
    def config(query: str, alias: str = "Sudan") -> Config:
        entities = {"sudan": Entity.model_validate({"name": "sudan", "title": alias})}
        declared = {"z": topic("z", query=query), "a": topic("a", any=["x"])}
        return Config(entities=entities, topics=declared)

    def versions(declared: Config) -> list[str]:
        return [match.rule for match in compile_rules(declared).match(story("x"))]

    first = compile_rules(config("x OR @sudan")).match(story("x"))
    assert [match.topic for match in first] == ["z", "a"]
    z, a = versions(config("x OR @sudan"))
    assert versions(config("x  OR  @sudan # the same")) == [z, a]
    assert versions(config("x OR y"))[0] != z
    assert versions(config("x OR @sudan", "Soudan"))[0] != z

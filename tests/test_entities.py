"""Aliases of entities: which of them stand in a text."""

from __future__ import annotations

import time

import pytest

from monitor.config import Config, Entity, EntityList
from monitor.entities import Aliases
from monitor.text import words


def entity(name: str, title: str, *aliases: str) -> Entity:
    return Entity.model_validate({"name": name, "title": title, "aliases": list(aliases)})


CONFIG = Config(
    entities={
        e.name: e
        for e in (
            entity("sudan", "Sudan", "السودان"),
            entity("south-sudan", "South Sudan", "Republic of South Sudan"),
            entity("mexico", "Mexico"),
            entity("united-states", "United States", "US", "U.S.", "U.S.A."),
            entity("who", "World Health Organization", "WHO"),
            entity("nato", "NATO", "North Atlantic Treaty Organisation"),
            entity("petro", "Gustavo Petro", "President Petro", "Petro", "Густаво Петро"),
            entity("shabaab", "al-Shabaab", "al Shabaab"),
            entity("g20", "G20"),
            entity("unicef", "UNICEF"),
            entity("beijing", "北京"),
            entity("dots", "…"),
        )
    },
    lists={"africa": EntityList.model_validate({"name": "africa", "entities": ["sudan", "south-sudan"]})},
)
ALIASES = Aliases(CONFIG)

# A text, and the entities found in it with what was found.
FOUND = [
    ("Sudan and South Sudan talk", [("sudan", "Sudan"), ("south-sudan", "South Sudan")]),
    ("The Republic of South Sudan", [("south-sudan", "Republic of South Sudan")]),
    ("SUDAN: a headline", [("sudan", "SUDAN")]),
    ("Sudan’s army", [("sudan", "Sudan")]),
    ("Sudanese army", []),
    ("في السودان", [("sudan", "السودان")]),
    ("New Mexico", [("mexico", "Mexico")]),  # New Mexico is not declared
    ("US and U.S. and us", [("united-states", "US"), ("united-states", "U.S")]),
    ("Tell us who did it", []),
    ("WHO warns", [("who", "WHO")]),
    ("nato or NATO", [("nato", "NATO")]),
    ("Unicef says", [("unicef", "Unicef")]),  # six letters: case does not count
    ("g20 and G20", [("g20", "G20")]),
    ("President Petro met Petro", [("petro", "President Petro"), ("petro", "Petro")]),
    ("ГУСТАВО ПЕТРО", [("petro", "ГУСТАВО ПЕТРО")]),
    ("Al-Shabaab, al Shabaab's men", [("shabaab", "Al-Shabaab"), ("shabaab", "al Shabaab")]),
    ("他在北京说", [("beijing", "北京")]),
    ("nothing … here", []),
]


@pytest.mark.parametrize(("text", "expected"), FOUND, ids=[text for text, _ in FOUND])
def test_the_longest_alias_is_found_in_a_text(text: str, expected: list[tuple[str, str]]) -> None:
    found = words(text)
    spans = [(o.alias.entity, text[found[o.first].start : found[o.last].end]) for o in ALIASES.find(text, found)]
    assert spans == expected


def test_a_name_stands_for_itself_and_a_list_for_its_entities() -> None:
    assert ALIASES.members("sudan") == ("sudan",)
    assert ALIASES.members("africa") == ("sudan", "south-sudan")
    assert "africa" in ALIASES
    assert "asia" not in ALIASES
    assert set(ALIASES) == {*CONFIG.entities, "africa"}


def test_the_name_of_an_entity_is_an_alias_and_equal_ones_are_kept_once() -> None:
    assert [alias.text for alias in ALIASES.of("shabaab")] == ["al-Shabaab"]
    assert [alias.text for alias in ALIASES.of("who")] == ["World Health Organization", "WHO"]


def test_two_entities_may_share_an_alias() -> None:
    config = Config(entities={n: entity(n, n, "Georgia") for n in ("country", "state")})
    found = Aliases(config).find("Georgia votes", words("Georgia votes"))
    assert [o.alias.entity for o in found] == ["country", "state"]


# --- weak aliases


def declared(**values: object) -> Aliases:
    made = Entity.model_validate({"name": "petro", "title": "Gustavo Petro", **values})
    return Aliases(Config(entities={"petro": made, "poro": entity("poro", "Petro Poroshenko")}))


def spans(aliases: Aliases, text: str, language: str = "") -> list[str]:
    found = words(text)
    return [text[found[o.first].start : found[o.last].end] for o in aliases.find(text, found, lambda: language)]


WEAK = declared(weak=["Petro"], context=["Colombia", "Bogotá", "casa de nariño", "EU"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Petro speaks", []),
        ("Petro speaks in Bogota", ["Petro"]),
        ("Colombia: Petro, Petro", ["Petro", "Petro"]),
        ("In the Casa de Nariño Petro speaks", ["Petro"]),
        ("Petro joins the EU", ["Petro"]),
        ("Petro joins eu", []),  # short capitals as in names
        ("Colombians like Petro", []),
        ("Gustavo Petro speaks", ["Gustavo Petro"]),  # the full name needs no context
        ("Petro Poroshenko in Bogotá", ["Petro Poroshenko"]),  # the longest wins
    ],
)
def test_a_weak_alias_counts_only_with_a_context_word(text: str, expected: list[str]) -> None:
    assert spans(WEAK, text) == expected


def test_an_alias_that_is_also_given_as_weak_is_not_weak() -> None:
    both = declared(aliases=["Petro"], weak=["Petro"], context=["Colombia"])
    assert spans(both, "Petro speaks") == ["Petro"]
    assert [alias.text for alias in both.of("petro")] == ["Gustavo Petro", "Petro"]


# --- inflected names

INFLECTED = Aliases(
    Config(
        entities={
            name: Entity.model_validate(
                {"name": name, "title": title, "aliases": aliases, "inflected": name != "plain"}
            )
            for name, title, aliases in (
                ("trump", "Donald Trump", ["Trump", "Трамп", "ترامب"]),
                ("korea", "Korea Północna", ["Северная Корея"]),
                ("russia", "Rosja", ["Россия", "Росія", "Russland", "Oroszország", "روسيا"]),
                ("china", "الصين", ["Китай"]),
                ("eu", "EU", []),
                ("plain", "Meksyk", []),
            )
        }
    )
)

INFLECTIONS = [
    ("pl", "Trumpa, Trumpowi, Trumpem, Trumpie", ["Trumpa", "Trumpowi", "Trumpem", "Trumpie"]),
    ("pl", "Donalda Trumpa", ["Donalda Trumpa"]),
    ("pl", "Rosji, Rosję, Rosją; rosyjski", ["Rosji", "Rosję", "Rosją"]),
    ("pl", "Koreę Północną i Korei Północnej", ["Koreę Północną", "Korei Północnej"]),
    ("pl", "Trumpizm trumpa", []),  # another word; no name
    ("pl", "Meksyku", []),  # not inflected: true
    ("cs", "Trumpovi a Trumpova vláda", ["Trumpovi", "Trumpova"]),
    ("ru", "Трампом и Трампа, трампа", ["Трампом", "Трампа"]),
    ("ru", "Северной Кореи, Россией, Китаю", ["Северной Кореи", "Россией", "Китаю"]),
    ("uk", "Росією, Росії", ["Росією", "Росії"]),
    ("de", "Trumps Reise, Russlands Heer, Russlandreise", ["Trumps", "Russlands"]),
    ("hu", "Trumppal, Trumpnak, Oroszországban", ["Trumppal", "Trumpnak", "Oroszországban"]),
    ("ar", "بالصين وللصين وترامب لروسيا", ["بالصين", "وللصين", "وترامب", "لروسيا"]),
    ("en", "Trumpa Rosji", []),  # English inflects no names
    ("", "Трампом", ["Трампом"]),  # a language that is not known goes by the script
    ("", "Trumpem", []),
    ("pl", "EUa", []),
]


@pytest.mark.parametrize(("language", "text", "expected"), INFLECTIONS, ids=[f"{i[0]} {i[1]}" for i in INFLECTIONS])
def test_inflected_names_are_found_by_their_endings(language: str, text: str, expected: list[str]) -> None:
    assert spans(INFLECTED, text, language) == expected


def test_context_words_of_an_inflected_entity_are_inflected_too() -> None:
    aliases = declared(weak=["Петро"], context=["Колумбия"], inflected=True)
    assert spans(aliases, "Петро в Колумбии", "ru") == ["Петро"]
    assert spans(aliases, "Петро в Колумбо", "ru") == []


def test_the_language_is_asked_for_only_where_names_are_inflected() -> None:
    def refuse() -> str:
        raise AssertionError

    text = "Petro in Bogotá"
    assert WEAK.find(text, words(text), refuse)


def test_the_fingerprint_of_an_entity_changes_with_what_finds_it() -> None:
    variants = [
        declared(),
        declared(weak=["Petro"]),
        declared(aliases=["Petro"]),
        declared(weak=["Petro"], context=["Colombia"]),
        declared(inflected=True),
    ]
    assert len({aliases.fingerprint("petro") for aliases in variants}) == len(variants)


def test_many_names_in_a_long_text_take_no_more_than_seconds() -> None:
    people = {
        f"n{n}": Entity.model_validate(
            {"name": f"n{n}", "title": f"Name{n} Trump", "weak": [f"W{n}"], "context": ["zzz"], "inflected": True}
        )
        for n in range(5_000)
    }
    aliases = Aliases(Config(entities=people))
    text = "Name7 Trumpa W3 " * 50_000
    started = time.process_time()
    assert aliases.find(text, words(text), lambda: "pl")
    assert time.process_time() - started < 5

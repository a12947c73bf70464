"""Aliases of entities: which of them stand in a text."""

from __future__ import annotations

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

"""Sanctions lists, as `monitor import entities` reads them."""

from __future__ import annotations

import json

import pytest

from monitor.errors import InputError
from monitor.sanctions import read_list

UN = """<?xml version="1.0"?><CONSOLIDATED_LIST><INDIVIDUALS><INDIVIDUAL>
<FIRST_NAME>Arden</FIRST_NAME><SECOND_NAME>Tolliver</SECOND_NAME><THIRD_NAME>Quay</THIRD_NAME>
<NAME_ORIGINAL_SCRIPT>Арден Толливер</NAME_ORIGINAL_SCRIPT>
<INDIVIDUAL_ALIAS><QUALITY>Good</QUALITY><ALIAS_NAME>A. T. Quay; Ardeen Quay</ALIAS_NAME></INDIVIDUAL_ALIAS>
<INDIVIDUAL_ALIAS><QUALITY>Low</QUALITY><ALIAS_NAME>The Captain</ALIAS_NAME></INDIVIDUAL_ALIAS>
<INDIVIDUAL_ALIAS><QUALITY>Good</QUALITY><ALIAS_NAME>Arden</ALIAS_NAME></INDIVIDUAL_ALIAS>
</INDIVIDUAL></INDIVIDUALS><ENTITIES><ENTITY><FIRST_NAME>Pell Star Shipping</FIRST_NAME>
<ENTITY_ALIAS><QUALITY>a.k.a.</QUALITY><ALIAS_NAME>PELL STAR SHIPPING</ALIAS_NAME></ENTITY_ALIAS>
<ENTITY_ALIAS><QUALITY>a.k.a.</QUALITY><ALIAS_NAME>PSS</ALIAS_NAME></ENTITY_ALIAS></ENTITY>
<ENTITY><FIRST_NAME>-</FIRST_NAME></ENTITY></ENTITIES></CONSOLIDATED_LIST>"""
OFAC = """<sdnList xmlns="https://sanctionslistservice.ofac.treas.gov/api/PublicationPreview/exports/XML">
<sdnEntry><uid>1</uid><firstName>Arden</firstName><lastName>QUAY</lastName><sdnType>Individual</sdnType><akaList>
<aka><category>strong</category><firstName>Ardeen</firstName><lastName>QUAY</lastName></aka>
<aka><category>weak</category><lastName>CAPTAIN QUAY</lastName></aka></akaList></sdnEntry>
<sdnEntry><uid>2</uid><lastName>ARDENT LARK</lastName><sdnType>Vessel</sdnType></sdnEntry></sdnList>"""
SIMPLE = """"id","schema","name","aliases","birth_date","countries"
"NK-1","Person","Arden Quay","Ardeen Quay;Арден Куэй","1960","xx"
"NK-2","Vessel","Ardent Lark","","",""
"""
LINES = "\n".join(
    json.dumps(one)
    for one in (
        {"id": "1", "caption": "Arden Quay", "schema": "Person",
         "properties": {"name": ["Arden Quay", "Арден Куэй"], "alias": ["Ardeen Quay"], "weakAlias": ["Cap"]}},
        {"id": "2", "caption": "somewhere", "schema": "Address", "properties": {"full": ["somewhere"]}},
        {"id": "3", "caption": "Pell Star", "schema": "Company", "properties": {"name": ["Pell Star"]}},
    )
)  # fmt: skip


def test_the_list_of_the_un() -> None:
    found = read_list(UN.encode())
    assert found.entities == {
        "arden-tolliver-quay": {
            "name": "Arden Tolliver Quay",
            "kind": "person",
            "aliases": ["Арден Толливер", "A. T. Quay", "Ardeen Quay"],
            "weak": ["The Captain", "Arden"],  # what the list calls low, and a person's name of one word
        },
        "pell-star-shipping": {"name": "Pell Star Shipping", "kind": "organisation", "aliases": ["PSS"]},
    }
    assert found.lists == {"un-list": {"entities": ["arden-tolliver-quay", "pell-star-shipping"]}}
    assert found.notes == [
        "1 records without a name were left out",
        "1 entities have weak aliases, which count once you give them `context` words",
    ]


def test_the_list_of_ofac() -> None:
    assert read_list(OFAC.encode()).entities == {
        "arden-quay": {"name": "Arden QUAY", "kind": "person", "aliases": ["Ardeen QUAY"], "weak": ["CAPTAIN QUAY"]},
        "ardent-lark": {"name": "ARDENT LARK", "kind": "vessel"},
    }


@pytest.mark.parametrize(("body", "weak"), [(SIMPLE, []), (LINES, ["Cap"])])
def test_the_lists_of_opensanctions(body: str, weak: list[str]) -> None:
    found = read_list(body.encode())
    person = found.entities["arden-quay"]
    assert (person["name"], person["kind"], person.get("weak", [])) == ("Arden Quay", "person", weak)
    assert sorted(person["aliases"]) == ["Ardeen Quay", "Арден Куэй"]
    assert [entity["kind"] for entity in found.entities.values()][1:] in (["vessel"], ["organisation"])


def test_a_line_that_is_no_record_is_told() -> None:
    assert read_list((LINES + '\n{"schema": 3').encode()).notes[0] == "line 4 is no record; it is left out"


def test_names_that_are_alike_get_keys_of_their_own_and_no_variable() -> None:
    rows = '"id","schema","name"\n1,Person,Ana Ruiz\n2,Person,Ana Ruíz\n3,Person,"${HOME} Ruiz"\n4,Person,阿尔登\n'
    found = read_list(rows.encode())
    assert list(found.entities) == ["ana-ruiz", "ana-ruiz-2", "home-ruiz", "阿尔登"]
    assert found.entities["home-ruiz"]["name"] == "$ {HOME} Ruiz"


@pytest.mark.parametrize("body", [b"", b"<html/>", b"a,b\n1,2\n", b"\x00\xff"])
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(InputError, match="this is no list"):
        read_list(body)


def test_an_entity_that_grows_stays_small() -> None:
    bomb = '<!DOCTYPE sdnList [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    bomb += "".join(f'<!ENTITY {y} "{f"&{x};" * 10}">' for x, y in zip("bcdefgh", "cdefghi", strict=True))
    body = f"{bomb}]><sdnList><sdnEntry><lastName>&i;</lastName><sdnType>Entity</sdnType></sdnEntry></sdnList>"
    assert all(len(one["name"]) <= 200 for one in read_list(body.encode()).entities.values())

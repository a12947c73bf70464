"""Sanctions lists → entities.yaml: the UN's and OFAC's XML, OpenSanctions' CSV and JSON lines. Pure.

Read strangers' files in a worker. A list knows many names that are also common words or shared by thousands: what it
calls weak itself, and a person's names of one word, become `weak` aliases, which count only with a `context` word.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lxml import etree

from monitor.errors import InputError
from monitor.text import clean

MOST = 100_000  # entities that are read
ALIASES = 200  # of one entity
NAME, TITLE = 60, 200  # characters that are kept

_KINDS = {
    "individual": "person", "person": "person", "entity": "organisation", "organization": "organisation",
    "company": "organisation", "legalentity": "organisation", "publicbody": "organisation", "vessel": "vessel",
    "address": "place",
}  # fmt: skip


class Named(NamedTuple):
    """One record of a list: its name first, and what the list says it is."""

    kind: str
    names: list[str]
    weak: list[str]


@dataclass(slots=True)
class Entities:
    """Entities as entities.yaml declares them, by name, all of them in one list; `notes` say what was left out."""

    form: str
    entities: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def lists(self) -> dict[str, dict[str, Any]]:
        """The list of all, which queries name as `@un-list` and so on."""
        return {f"{self.form}-list": {"entities": list(self.entities)}}


def read_list(body: bytes, form: str = "") -> Entities:
    """Return the entities in a sanctions list; `form` (un, ofac, opensanctions) is told by it where it is not given.

    Raises InputError when it is none of these.
    """
    told = _told_form(body)
    form = form or told
    if not form:
        raise InputError("this is no list of the UN (XML), OFAC (SDN.XML) or OpenSanctions (CSV, or JSON lines)")
    found = Entities(form)
    if form == "opensanctions":
        records = _of_lines(found, body) if body.lstrip()[:1] == b"{" else _of_csv(body)
    else:
        tree = _tree(body)
        records = _of_un(tree) if form == "un" else _of_ofac(tree)
    used: dict[str, int] = {}
    weak = nameless = 0
    for number, record in enumerate(records):
        if number == MOST:
            found.notes.append(f"only the first {MOST:,} entities are read")
            break
        entity = _entity(record)
        if entity is None:
            nameless += 1
            continue
        weak += "weak" in entity
        found.entities[_free(entity["name"], found.entities, used)] = entity
    if nameless:
        found.notes.append(f"{nameless} records without a name were left out")
    if weak:
        found.notes.append(f"{weak} entities have weak aliases, which count once you give them `context` words")
    return found


def _told_form(body: bytes) -> str:
    start = body[:20_000].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if root := re.search(r"<(?:\w+:)?(\w+)", re.sub(r"<[?!][^>]*>", "", start)) if start[:1] == "<" else None:
        return {"CONSOLIDATED_LIST": "un", "sdnList": "ofac"}.get(root[1], "")
    header = start.partition("\n")[0]
    return "opensanctions" if start[:1] == "{" or {"schema", "name"} <= set(re.findall(r"\w+", header)) else ""


def _tree(body: bytes) -> Any:
    parser = etree.XMLParser(recover=True, resolve_entities="internal", no_network=True, remove_comments=True)
    tree = etree.fromstring(body, parser)
    if tree is None:
        raise InputError("the file is not XML")
    return tree


def _texts(element: Any, *names: str) -> Iterator[str]:
    """Yield the texts of the children of these names, whatever their namespace."""
    for name in names:
        for child in element.iterfind(f"{{*}}{name}"):
            if said := clean(child.text or "").strip():
                yield said


def _of_un(tree: Any) -> Iterator[Named]:
    for kind in ("INDIVIDUAL", "ENTITY"):
        for one in tree.iter(f"{{*}}{kind}"):
            parts = ("FIRST_NAME", "SECOND_NAME", "THIRD_NAME", "FOURTH_NAME")
            names, weak = [" ".join(_texts(one, *parts))], list[str]()
            names += _texts(one, "NAME_ORIGINAL_SCRIPT")
            for alias in one.iterfind(f"{{*}}{kind}_ALIAS"):
                low = next(_texts(alias, "QUALITY"), "").lower() == "low"
                # Some put several into one.
                said = [part for text in _texts(alias, "ALIAS_NAME") for part in re.split(r"[;\n]", text)]
                (weak if low else names).extend(said)
            yield Named(kind.lower(), names, weak)


def _of_ofac(tree: Any) -> Iterator[Named]:
    for one in tree.iter("{*}sdnEntry"):
        names, weak = [" ".join(_texts(one, "firstName", "lastName"))], list[str]()
        for alias in one.iter("{*}aka"):
            low = next(_texts(alias, "category"), "").lower() == "weak"
            (weak if low else names).append(" ".join(_texts(alias, "firstName", "lastName")))
        yield Named(next(_texts(one, "sdnType"), "").lower(), names, weak)


def _of_csv(body: bytes) -> Iterator[Named]:
    try:
        rows = csv.DictReader(io.StringIO(body.decode("utf-8-sig", "replace"), newline=""))
        for row in rows:
            aliases = (row.get("aliases") or "").split(";")
            yield Named((row.get("schema") or "").lower(), [row.get("name") or "", *aliases], [])
    except csv.Error as error:
        raise InputError(f"the file is not CSV: {error}") from error


def _of_lines(found: Entities, body: bytes) -> Iterator[Named]:
    for number, line in enumerate(body.decode("utf-8-sig", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            properties = said["properties"]
            names = [said.get("caption") or "", *_strings(properties, "name"), *_strings(properties, "alias")]
            # Addresses, passports, ownerships and the like are records too.
            if str(said["schema"]).lower() in _KINDS and "name" in properties:
                yield Named(str(said["schema"]).lower(), names, _strings(properties, "weakAlias"))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            found.notes.append(f"line {number} is no record; it is left out")


def _strings(properties: Mapping[str, Any], name: str) -> list[str]:
    return [one for one in properties.get(name, ()) if isinstance(one, str)]


def _entity(record: Named) -> dict[str, Any] | None:
    """Return an entity as entities.yaml has it; None for one without a name."""
    names, weak = _names(record.names), _names(record.weak)
    if not names:
        return None
    kind = _KINDS.get(record.kind, "other")
    # A name of one word is shared by thousands of people. What the list calls them first stays their name.
    short = [name for name in names[1:] if kind == "person" and len(name.split()) == 1 and name.isascii()]
    aliases = [name for name in names[1:] if name not in short][:ALIASES]
    weak = [name for name in dict.fromkeys((*weak, *short)) if name not in names[:1] and name not in aliases][:ALIASES]
    entity: dict[str, Any] = {"name": names[0], "kind": kind}
    return entity | ({"aliases": aliases} if aliases else {}) | ({"weak": weak} if weak else {})


def _names(said: Iterable[str]) -> list[str]:
    """Return names for YAML, each once, whatever its capitals."""
    found: dict[str, str] = {}
    for text in said:
        # `${NAME}` would be a variable of whoever reads the file in.
        name = " ".join(clean(text).replace("${", "$ {").split())[:TITLE].strip(" ,;")
        if any(character.isalnum() for character in name):
            found.setdefault(name.casefold(), name)
    return list(found.values())


def _free(name: str, taken: Mapping[str, Any], used: dict[str, int]) -> str:
    """Return a key for `@key` that no other entity has, in letters that any keyboard has where that is possible."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.category(c).startswith("M"))
    slug = re.sub(r"[\W_]+", "-", plain.lower()).strip("-")[:NAME].strip("-") or "entity"
    free = slug
    while free in taken:
        used[slug] = used.get(slug, 1) + 1
        free = f"{slug}-{used[slug]}"
    return free

"""What is new of an event since it was told: numbers and names, outlets, corrections. Pure.

An update is worth a message when something material changed, and says what; which topics and severity are new hangs on
what its reader follows, and is told by `dispatch`. Other words for the same are no news: a
headline's number is news when it counts something (a toll, people arrested, an amount), and a name when the publisher
put it into the headline of the very story that was told, or when it is a declared entity that no story of the event
had.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from monitor.events.sketch import PRICE, SPELLED, THOUSANDS, is_title_case
from monitor.text import words

MANY, TIMES = 5, 2  # outlets: from so many on, an event that has so many times as many as were told is news
_NEAR = 3  # words between a number and what it counts
_MOST = 8  # numbers and names of one headline

Kind = Literal["fact", "entity", "sources", "correction", "retraction"]

# What is counted, by what it is: the same number of "dead" and "killed" is the same fact.
_COUNTS: Mapping[str, re.Pattern[str]] = {
    "dead": re.compile(
        r"dead|deaths?|kill(?:s|ed|ing)?|die[sd]?|toll|bodies|casualties|fatalities|muert\w+|fallecid\w+|morte?s"
        r"|tote|todesopfer|mortos|morti|погиб\w+|قتلى|قتيلا"
    ),
    "injured": re.compile(r"injur\w+|hurt|wound\w*|herid\w+|blesses|verletzte|feridos|feriti|ранен\w+|جريحا|جرحى"),
    "missing": re.compile(r"missing|desaparecid\w+|disparus|vermisste|dispersi|пропавш\w+|مفقود\w*"),
    "arrested": re.compile(r"arrest\w*|detain\w*|detenid\w+|arretes|festgenommen\w*|задержан\w*"),
    "people": re.compile(r"people|personas|personnes|menschen|pessoas|persone|человек|شخصا"),
}
_RETRACTED = re.compile(
    r"^(?:retracted|retraction|withdrawn)\b|\bretracts?\b.{0,20}\b(?:story|report|article)\b"
    r"|\bstory (?:is )?withdrawn\b|^(?:retractación|rétractation|zurückgezogen)\b"
)
_CORRECTED = re.compile(
    r"^(?:correction|corrected|clarification|erratum)\b|\(corrected\)"
    r"|\bcorrects? (?:story|headline|death toll|number)\b|^(?:corrección|rectificación|fe de erratas|correctif)\b"
    r"|^(?:rectificatif|berichtigung|korrektur|correção|errata|تصحيح)\b"
)


@dataclass(frozen=True, slots=True)
class News:
    """One thing that is new of an event: what it is `now`, and `was`, where there was something; `about` says of what.

    `sources`: how many outlets. `fact`: a number, `about` what it
    counts, or a name. `entity`: the name of one that it is about too. `correction`, `retraction`: the outlet.
    """

    kind: Kind
    now: str
    was: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """What there is to tell of an event, or what was told. As JSON it is kept with the event.

    `headline` is that of story `story`; `numbers` are the counted ones by
    what they count, `names` those of the headline, `entities` the declared ones of all stories.
    """

    sources: int
    story: int
    source: str
    headline: str
    entities: tuple[str, ...] = ()
    numbers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def after(self, told: Account) -> Account:
        """Return what has been told once this was told too."""
        numbers = {kind: list(found) for kind, found in told.numbers.items()}
        for kind, found in self.numbers.items():
            numbers[kind] = list(dict.fromkeys((*numbers.get(kind, ()), *found)))[-_MOST:]
        return Account(
            max(told.sources, self.sources),
            self.story,
            self.source,
            self.headline,
            tuple(dict.fromkeys((*told.entities, *self.entities))),
            numbers,
            self.names,
        )


def account(
    headline: str,
    *,
    sources: int,
    story: int,
    source: str,
    entities: Iterable[str],
) -> Account:
    """Return what there is to tell of an event with this headline."""
    return Account(sources, story, source, headline, tuple(entities), _numbers(headline), _names(headline))


def from_json(kept: Mapping[str, Any]) -> Account:
    """Return an account that was kept as JSON, by an earlier version too."""
    values = {one.name: kept[one.name] for one in fields(Account) if one.name in kept}
    return Account(**{**values, "entities": tuple(kept["entities"]), "names": tuple(kept["names"])})


def news_since(told: Account, now: Account) -> tuple[News, ...]:
    """Return what is materially new in `now` against what was told of the same event, the weightiest first."""
    found = list(_corrections(told, now))
    found += _facts(told, now)
    if now.sources >= MANY and now.sources >= TIMES * told.sources:
        found.append(News("sources", str(now.sources), str(told.sources)))
    return tuple(found)


def _corrections(told: Account, now: Account) -> Iterable[News]:
    for kind, pattern in (("retraction", _RETRACTED), ("correction", _CORRECTED)):
        if pattern.search(now.headline.lower()) and not pattern.search(told.headline.lower()):
            yield News(kind, now.source)  # type: ignore[arg-type]  # the two are kinds
            return


def _facts(told: Account, now: Account) -> Iterable[News]:
    for about, numbers in now.numbers.items():
        before = told.numbers.get(about, ())
        if about == "amount" and (now.story != told.story or not before):
            continue  # outlets pick other amounts of one happening
        yield from (News("fact", n, before[-1] if before else "", about) for n in numbers if n not in before)
    known = {name.casefold() for name in (*told.names, *told.entities)}
    if now.story == told.story:  # an edit
        headline = told.headline.casefold()
        yield from (News("fact", name) for name in now.names if name.casefold() not in headline)
        known.update(name.casefold() for name in now.names)
    yield from (News("entity", name) for name in now.entities if name.casefold() not in known)


def _numbers(headline: str) -> dict[str, list[str]]:
    """Return the numbers of a headline by what they count."""
    found: dict[str, list[str]] = {}
    if prices := [price.strip(" .,") for price in PRICE.findall(headline)]:
        found["amount"] = prices
    plain = THOUSANDS.sub(lambda number: re.sub("[.,]", "", number[0]), PRICE.sub(" ", headline))
    folded = [word.folded for word in words(plain)][:60]
    for place, word in enumerate(folded):
        number = SPELLED.get(word, word)
        if not number.isdigit():
            continue
        near = folded[place + 1 : place + 1 + _NEAR] + folded[max(0, place - _NEAR) : place][::-1]
        kinds = [kind for one in near for kind, what in _COUNTS.items() if what.fullmatch(one)]
        about = next((kind for kind in kinds if kind != "people"), "people" if kinds else None)
        if about is not None:
            found.setdefault(about, []).append(number)
    return {kind: list(dict.fromkeys(numbers))[:_MOST] for kind, numbers in found.items()}


def _names(headline: str) -> tuple[str, ...]:
    """Return the names that a headline is seen to have: runs of capitalised words, but for its first word alone."""
    if is_title_case(headline) or not headline:
        return ()
    found: list[str] = []
    run: list[str] = []
    last = -1
    for place, word in enumerate(words(headline)):
        written = headline[word.start : word.end]
        capital = written[0].isupper()
        if capital and run and last == place - 1 and headline[word.start - 1] in " -'’.":
            run.append(written)
        else:
            if run:
                found.append(" ".join(run))
            run = [written] if capital and place else []
        last = place if capital else last
    if run:
        found.append(" ".join(run))
    return tuple(dict.fromkeys(found))[:_MOST]

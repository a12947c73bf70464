"""Rules of other programs → topics.yaml: TrendRadar, Miniflux, FreshRSS, Google Alerts. Pure.

What has no like here is left out as a whole and told: a rule that is wider than it was alerts people.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.errors import InputError, QueryError
from monitor.query import parse
from monitor.text import clean

MOST = 10_000  # rules that are read
NAME, TITLE = 40, 100  # characters that are kept
DEPTH = 50  # parentheses within one another

_MINIFLUX = re.compile(r"(Entry\w+)\s*=\s*(.+)")
_GROUP = re.compile(r"[+!]\S|@\d+$|\[[^\]]+\]$|.*=>")  # lines that only TrendRadar has
_FRESHRSS = re.compile(
    r"(?:^|[\s(])[!-]?(?:inurl|author|intext|date|pubdate|userdate|label|labels|[fcLTS]):|(?:^|\s)[#/]\S"
)


@dataclass(slots=True)
class TopicList:
    """Topics as topics.yaml declares them, by name; `notes` say, with lines, what was left out or reads otherwise."""

    topics: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, title: str, query: str, line: int) -> None:
        """Add a topic under a name made of its title, or note what is wrong with its query."""
        query = query.replace("${", "$ {")  # which would be a variable of whoever reads the file in
        try:
            parse(query)
        except QueryError as error:
            self.note(line, title, f"{str(error).splitlines()[0]}; it is left out")
            return
        title = " ".join(clean(title).replace("${", "$ {").split())[:TITLE].strip() or f"Line {line}"
        words = unicodedata.normalize("NFKC", title).lower()
        name = re.sub(r"[\W_]+", "-", words).strip("-")[:NAME].strip("-")
        # Names hold letters only: without their signs, words of Hindi or Thai would be others.
        if not name or any(unicodedata.category(letter).startswith("M") for letter in words):
            name = f"line-{line}"
        free, number = name, 2
        while free in self.topics:
            free, number = f"{name}-{number}", number + 1
        self.topics[free] = {"title": title, "query": query}

    def note(self, line: int, title: str, what: str) -> None:
        """Say what is to be known of a line."""
        self.notes.append(f"line {line}: “{title.strip()[:60]}”: {what}")


def read_rules(body: bytes, form: str = "") -> TopicList:
    """Return the topics in a file of rules; `form` (of `forms`) is told by its lines where it is not given.

    Raises InputError for a file that is no text.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("the file is not text in UTF-8") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    found = TopicList()
    if len(lines) > MOST:
        found.notes.append(f"only the first {MOST:,} lines are read")
    _READERS[form or told_form([line for _, line in lines])](found, lines[:MOST])
    return found


def told_form(lines: list[str]) -> str:
    """Return whose rules these lines are."""
    rules = [line for line in lines if line and not line.startswith("#")]
    if rules and all(_MINIFLUX.match(line) for line in rules):
        return "miniflux"
    if any(_GROUP.match(line) for line in rules):
        return "trendradar"
    return "freshrss" if any(_FRESHRSS.search(line) for line in rules) else "google"


# TrendRadar: groups of words, one a line, parted by empty lines


def _trendradar(found: TopicList, lines: list[tuple[int, str]]) -> None:
    groups, everywhere = _groups(found, lines)
    for line, title, words, needed, none in groups:
        parts = [*needed, *([_any(words)] if words else [])]
        if not parts:
            found.note(line, title or "a group", "it names no word to look for; it is left out")
            continue
        query = " AND ".join(parts)
        if without := list(dict.fromkeys((*none, *everywhere))):
            query = f"{query} AND NOT {_any(without)}"
        found.add(title or " ".join((*needed, *words)).replace('"', ""), query, line)
    if groups:
        found.notes.append("TrendRadar finds parts of words, in titles; here whole words count, in the whole story")


_Words = list[str]


def _groups(
    found: TopicList, lines: list[tuple[int, str]]
) -> tuple[list[tuple[int, str, _Words, _Words, _Words]], _Words]:
    """Return the groups, each with its line, title and words, needed words and excluded ones; and what all exclude."""
    groups: list[tuple[int, str, _Words, _Words, _Words]] = []
    everywhere: _Words = []
    open_, section = False, ""
    for number, line in lines:
        if not line:
            open_ = False
            continue
        if line.startswith("#"):
            continue
        title = ""
        if named := re.fullmatch(r"\[([^\]]+)\]", line):
            if named[1] in ("GLOBAL_FILTER", "WORD_GROUPS"):
                section, open_ = named[1], False
                continue
            title = named[1]
        if section == "GLOBAL_FILTER" and not title:
            everywhere.append(_term(line.lstrip("!")))
            continue
        if not open_ or title:
            groups.append((number, title, [], [], []))
            open_ = True
        if title:
            continue
        if re.fullmatch(r"@\d+", line):
            found.note(number, line, "how many are shown is up to a subscription's `at_most`")
            continue
        word, _, shown = line.partition("=>")
        into = {"+": groups[-1][3], "!": groups[-1][4]}.get(word[:1], groups[-1][2])
        into.append(_term(word.lstrip("+!")))
        if shown.strip() and not groups[-1][1]:
            groups[-1] = (groups[-1][0], shown.strip(), *groups[-1][2:])
    return groups, everywhere


def _any(terms: list[str]) -> str:
    return terms[0] if len(terms) == 1 else f"({' OR '.join(terms)})"


def _term(said: str) -> str:
    """Return a word or phrase as a term, and a regular expression as one."""
    said = said.strip()
    if regex := re.fullmatch(r"/(.+)/([a-z]*)", said):
        return _regex(regex[1], "i" in regex[2] or "(?i)" in regex[1])
    if re.fullmatch(r"[^\W_]+", said) and said not in ("AND", "OR", "NOT"):
        return said
    if re.fullmatch(r"[^\s{}]*[+#&][^\s{}]*", said):  # C++, AT&T: other words without their signs
        return f"{{{said}}}"
    return '"' + re.sub(r'["“”*?\\]+', " ", said).strip() + '"'


def _regex(pattern: str, folded: bool) -> str:
    pattern = pattern.replace("(?i)", "")
    return "/" + re.sub(r"(?<!\\)/", r"\/", pattern) + ("/i" if folded else "/")


# Miniflux: Field=RE2, one a line

_PLACES = {"EntryTitle": "title:{0}", "EntryContent": "(lead:{0} OR body:{0})"}
_SAID = {"EntryAuthor": "author:", "EntryTag": "tag:"}


def _miniflux(found: TopicList, lines: list[tuple[int, str]]) -> None:
    for number, line in lines:
        if not line or line.startswith("#"):
            continue
        rule = _MINIFLUX.fullmatch(line)
        name, pattern = (rule[1], rule[2].strip()) if rule else ("", "")
        words = pattern.replace("(?i)", "")
        if name in _PLACES:
            found.add(words, _PLACES[name].format(_regex(pattern, "(?i)" in pattern)), number)
        elif name in _SAID and re.fullmatch(r"[\w |-]+", words):
            found.add(words, _SAID[name] + _any([_term(word) for word in words.split("|")]), number)
        else:
            found.note(number, line, f"`{name or line[:20]}` of this kind has no like here; it is left out")


# FreshRSS and Google: a search a line

_TOKEN = re.compile(
    r"""\s*(?:(?P<regex>[!-]?(?:\w+:)?/(?:\\.|[^/\\])+/[a-z]*)|(?P<phrase>[!-]?(?:\w+:|\#)?["“][^"“”]*["”])"""
    r"""|(?P<open>[!-]?\()|(?P<close>\))|(?P<word>[^\s()"“”]+))"""
)
_FIELDS = {
    "intitle": "title:",
    "inurl": "url:",
    "author": "author:",
    "site": "site:",
    "source": "source:",
    "intext": "",
}


class _NoLikeError(ValueError):
    """A search has a part that has no like here."""


def _searches(or_binds_more: bool) -> Callable[[TopicList, list[tuple[int, str]]], None]:
    """Return what reads searches: in Google OR binds more than the AND between words, in FreshRSS less."""

    def read(found: TopicList, lines: list[tuple[int, str]]) -> None:
        for number, line in lines:
            said = re.sub(r"^Google Alert\w*\s*[-–:]\s*", "", line)
            if not said or said.startswith("# "):
                continue
            try:
                found.add(said, _Search(said, or_binds_more).query(), number)
            except _NoLikeError as error:
                found.note(number, said, f"{error}; it is left out")

    return read


class _Search:
    """One search, read from left to right."""

    def __init__(self, text: str, or_binds_more: bool) -> None:
        self._tokens = list(_TOKEN.finditer(text))
        self._place, self._depth, self._or_binds_more = 0, 0, or_binds_more

    def query(self) -> str:
        """Return it as a query. Raises _NoLikeError."""
        found = self._all(self._some if self._or_binds_more else self._one)
        if not self._or_binds_more and self._next() == "OR":
            found = self._some(lambda: self._all(self._one), found)
        if self._place < len(self._tokens):
            raise _NoLikeError(f"there is a {self._next()!r} too much")
        return found.removeprefix("(").removesuffix(")") if _wrapped(found) else found

    def _next(self) -> str:
        if self._place == len(self._tokens):
            return ""
        said = self._tokens[self._place][0].strip()
        return "OR" if said in ("OR", "|") else said

    def _all(self, part: Callable[[], str]) -> str:
        found: list[str] = []
        while self._next() not in ("", ")", "OR"):
            if self._next() in ("AND", "+"):
                self._place += 1
                continue
            found.append(part())
        wanted = [one for one in found if not one.startswith("NOT ")]
        if not wanted:
            raise _NoLikeError("it says only what is absent, or nothing")
        ordered = [*wanted, *(one for one in found if one.startswith("NOT "))]
        return ordered[0] if len(ordered) == 1 else f"({' AND '.join(ordered)})"

    def _some(self, part: Callable[[], str] | None = None, first: str = "") -> str:
        part = part or self._one
        found = [first or part()]
        while self._next() == "OR":
            self._place += 1
            found.append(part())
        if len(found) > 1 and any(one.startswith("NOT ") for one in found):
            raise _NoLikeError("something or the absence of something is nearly every story")
        return found[0] if len(found) == 1 else f"({' OR '.join(found)})"

    def _one(self) -> str:
        said = self._next()
        if not said:
            raise _NoLikeError("it breaks off")
        token = self._tokens[self._place]
        self._place += 1
        if said == "NOT":
            return f"NOT {self._one().removeprefix('NOT ')}"
        absent = said[0] in "-!" and len(said) > 1
        said = said[1:] if absent else said
        if token["open"]:
            self._depth += 1
            if self._depth > DEPTH:
                raise _NoLikeError("it has too many parentheses within one another")
            inner = self._all(self._some) if self._or_binds_more else self._inner()
            if self._next() != ")":
                raise _NoLikeError("a parenthesis is not closed")
            self._place += 1
            self._depth -= 1
        else:
            inner = _single(said)
        return f"NOT {inner}" if absent else inner

    def _inner(self) -> str:
        found = self._all(self._one)
        return self._some(lambda: self._all(self._one), found) if self._next() == "OR" else found


def _wrapped(query: str) -> bool:
    """Whether the first parenthesis closes with the last character; those in quotes and expressions do not count."""
    if not query.startswith("("):
        return False
    depth = 0
    bare = re.sub(r'"[^"]*"|/(?:\\.|[^/\\])+/', lambda quoted: "x" * len(quoted[0]), query)
    for place, character in enumerate(bare):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place == len(bare) - 1
    return False


def _single(said: str) -> str:
    """Return a word, phrase or expression, with its field."""
    if re.fullmatch(r"AROUND\(?\d*\)?|near", said):
        raise _NoLikeError("write AROUND(n) as `a NEAR/n b`")
    if said.startswith("#") and len(said) > 1:
        return f"tag:{_term(said[1:].strip(_QUOTES).replace('+', ' '))}"
    field_, colon, rest = said.partition(":")
    if colon and re.fullmatch(r"[A-Za-z]\w*", field_) and rest and not rest.startswith("//"):
        if field_ not in _FIELDS:
            raise _NoLikeError(f"`{field_}:` has no like here")
        rest = rest.strip(_QUOTES)
        return _FIELDS[field_] + (rest if re.fullmatch(r"[\w-]+(\.[\w-]+)+", rest) else _term(rest))
    if re.fullmatch(r"\w{3,}\*", said):
        return said
    return _term(said.strip(_QUOTES))


_QUOTES = '"“”'
_READERS: Mapping[str, Callable[[TopicList, list[tuple[int, str]]], None]] = {
    "trendradar": _trendradar,
    "miniflux": _miniflux,
    "freshrss": _searches(False),
    "google": _searches(True),
}


def forms() -> Iterator[str]:
    """Yield the forms of rules that are read."""
    yield from _READERS

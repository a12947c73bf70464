"""Query text → tokens. Mistakes within one word or bracket are found here, where their place is exact."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, ClassVar

from monitor.errors import QueryError
from monitor.query.expressions import refusal
from monitor.query.nodes import META_FIELDS, TEXT_FIELDS, EntityRef, Exact, Leaf, MacroRef, Phrase, Regex, Term

MAX_LENGTH = 150_000  # characters of a query: 10,000 terms and more; a second to read
MAX_DEPTH = 100  # parentheses within one another, and levels of a tree
MAX_DISTANCE = 100  # words of NEAR/n and of "…"~n
MAX_OPERANDS = 8  # of one NEAR or "…"~n: its decision takes time that doubles with each
MAX_COUNT = 1000  # of ATLEAST/n and FIRST/n
LETTERS_BEFORE_STAR = 3

FIELDS = (*TEXT_FIELDS, *META_FIELDS)
# What other tools call our fields and operators.
_FIELD_SYNONYMS = {
    "headline": "title", "hl": "title", "subject": "title", "hlp": "lead", "lp": "lead", "intro": "lead",
    "content": "body", "text": "body", "domain": "site", "host": "site", "link": "url", "by": "author",
    "publisher": "source", "outlet": "source", "category": "tag", "language": "lang", "location": "country",
    "intitle": "title", "allintitle": "title", "ingress": "lead", "intext": "body", "inurl": "url", "allinurl": "url",
    "hd": "title", "td": "body", "la": "lang", "sn": "source",
}  # fmt: skip
_OPERATOR_SYNONYMS = {
    "&": "AND", "&&": "AND", "+": "AND", "|": "OR", "||": "OR", "!": "AND NOT", "-": "AND NOT",
    "ANDNOT": "AND NOT", "BUT": "AND NOT", "XOR": "OR", "ADJ": "ONEAR/0", "SAME": "NEAR/50", "WITHIN": "NEAR/8",
}  # fmt: skip
# What other tools write within or behind a word, which here would be punctuation and so be lost without a word.
_TAG = re.compile(r"([A-Za-z]{2,3})[=<>]")
_ENDINGS = re.compile(r"([^\W\d_]{3,})\$\d\Z")
_ANY_ENDING = re.compile(r"([a-z]{3,})!\Z")  # a name such as Yahoo! begins with a capital
_WEIGHT = re.compile(r"(.*)\^\d+\Z")
_FIRST_WORDS = re.compile(r"(.+)/[Ff](\d+)/\Z")
_WITHIN = re.compile(r"(.+)/[Nn](\d+)/(.+)")
_DISTANCE_OPERATOR = re.compile(r"(?P<name>[A-Z]*)/?(?P<distance>\d+)[FfWw]?")
_ORDERED_OPERATORS = ("ADJ", "PRE", "P", "ONEAR", "BEFORE", "FOLLOWEDBY")
_NEAR_OPERATORS = ("W", "N", "NEAR", "WITHIN", "")

_OPEN_QUOTES, _CLOSING_QUOTE = '"“”„', re.compile('["“”]')
_RUN = re.compile(r"(?:(?!<<<)[^\s()（）\"“”„{}])+")
_BLANKS = re.compile(r"\s+")
# Blanks and a run of letters and digits alone: an operator or a word, in which nothing can be wrong.
_PLAIN = re.compile(r"\s*+([^\W_]++)(?=[\s()（）]|\Z)")
_OPERATORS = ("AND", "OR", "NOT")
# Words that stand for no word.
_KEYWORDS = frozenset((*_OPERATORS, "NEAR", "ONEAR", "PRE", "ATLEAST", "FIRST", "SENTENCE", "FORMS"))
_NEAR = re.compile(r"(NEAR|ONEAR|PRE)(?:/(.*))?\Z", re.DOTALL)
_FUNCTION = re.compile(r"(ATLEAST|FIRST|SENTENCE|FORMS)(?:/(.*))?\Z", re.DOTALL)
_FIELD = re.compile(r"([^\W\d_]+):")
_REGEX = re.compile(r"/((?:[^\\/\n]|\\.)*+)(/?)")
_FLAGS = re.compile(r"[^\s()（）]*")
_TILDE = re.compile(r"~(\S*?)(?=[\s()（）]|\Z)")
_SLASH_OPERATOR = re.compile(r"/(\d+[fF]?)?(?=\s|\Z)")
_WILD, _LETTER = re.compile(r"[*?]"), re.compile(r"[^\W_]")
# In `url:` and the fields compared as a whole, a path such as /politics/ is words; these signs say what is meant.
_PATH_FIELDS = tuple(name for name in META_FIELDS if name not in ("author", "source"))
_REGEX_SIGNS = re.compile(r"[\\\[({|^$+]")
_FIELD_SHAPED = re.compile(r"[^\W\d_]+:\Z")
_WORD_OF_TERM = re.compile(r"[^\s\-/'’.,:;&+_]+")
_UNSPACED_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


@dataclass(slots=True)
class Token:
    """An operator, a bracket, a field, or a LEAF, whose value is its node; and its characters.

    It has what Lark reads of a token. Lark's own are texts with eight attributes, and take four times as long to make.
    """

    type: str
    value: Any
    start_pos: int
    end_pos: int
    line: ClassVar[None] = None
    column: ClassVar[None] = None
    end_line: ClassVar[None] = None
    end_column: ClassVar[None] = None


@dataclass(slots=True)
class _Lexer:
    text: str
    at: int = 0
    tokens: list[Token] = field(default_factory=list)
    # The open parentheses: where each stands, and the field whose group it opens ("" for none).
    open: list[tuple[int, str]] = field(default_factory=list)
    field_before: str = ""  # the field whose `name:` was just read

    def run(self) -> list[Token]:
        text, add = self.text, self.tokens.append
        while self.at < len(text):
            plain = _PLAIN.match(text, self.at)
            if plain is not None and (word := plain[1]) not in _KEYWORDS:
                start, end = plain.span(1)
                add(Token("LEAF", Term(word, start=start, end=end), start, end))
                self.at, self.field_before = end, ""
            elif plain is not None and word in _OPERATORS:
                self._add(word, *plain.span(1))
            elif (start := self._skip_blanks()) < len(text):
                self._next(start, text[start])
        if self.open:
            start = self.open[-1][0]
            raise self._error("this parenthesis is never closed", start, start + 1, "add `)` where its group ends")
        return self.tokens

    def _error(self, message: str, start: int, end: int, fix: str = "") -> QueryError:
        return QueryError(message, self.text, start, end, fix)

    def _skip_blanks(self) -> int:
        """Move behind blanks and comments."""
        text = self.text
        while True:
            if (blanks := _BLANKS.match(text, self.at)) is not None:
                self.at = blanks.end()
            if text.startswith("#", self.at):
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
            elif text.startswith("<<<", self.at):
                end = text.find(">>>", self.at)
                if end < 0:
                    raise self._error("this comment is never closed", self.at, self.at + 3, "add `>>>` where it ends")
                self.at = end + 3
            else:
                return self.at

    def _next(self, start: int, char: str) -> None:
        if char in "(（":
            if len(self.open) >= MAX_DEPTH:
                message = f"more than {MAX_DEPTH} parentheses within one another"
                raise self._error(message, start, start + 1, "make a macro of the inner part, or leave out parentheses")
            self.open.append((start, self._field()))
            self._add("LPAR", start, start + 1)
        elif char in ")）":
            if not self.open:
                raise self._error("this parenthesis closes nothing", start, start + 1, "remove it, or add `(` before")
            self.open.pop()
            self._add("RPAR", start, start + 1)
        elif char in _OPEN_QUOTES:
            self._phrase(start)
        elif char == "{":
            self._exact(start)
        elif char == "/" and self._regex(start):
            pass
        elif char == "}":
            raise self._error(
                "this brace closes nothing", start, start + 1, "remove it, or add `{` before the exact text"
            )
        else:
            match = _RUN.match(self.text, start)
            assert match is not None
            self._word(start, match[0])

    def _field(self) -> str:
        """The field that the next term stands in, by its own `name:` or by the group around it."""
        name, self.field_before = self.field_before, ""
        return name or (self.open[-1][1] if self.open else "")

    def _add(self, kind: str, start: int, end: int, value: Any = None) -> None:
        self.tokens.append(Token(kind, value, start, end))
        self.at = end

    def _leaf(self, node: Leaf | MacroRef) -> None:
        self._add("LEAF", node.start, node.end, node)

    def _phrase(self, start: int) -> None:
        self._field()
        closing = _CLOSING_QUOTE.search(self.text, start + 1)
        if closing is None:
            raise self._error("this quote is never closed", start, start + 1, 'add `"` where the phrase ends')
        written = self.text[start + 1 : closing.start()]
        words = written.split()
        inner, end = " ".join(words), closing.end()
        if not _says_something(inner):
            raise self._error("this phrase has no letter or digit", start, end, "write the words to find, or remove it")
        self._check_wildcards(written, start + 1)
        if (tilde := _TILDE.match(self.text, end)) is not None:
            distance = self._number(tilde[1], f'"{inner}"~', start, tilde.end(), MAX_DISTANCE, f'"{inner}"~8')
            if len(words) > MAX_OPERANDS:
                message = f"a phrase with `~` takes at most {MAX_OPERANDS} words"
                raise self._error(message, start, end, "join some of the words with AND")
            self._leaf(Phrase(inner, distance, start=start, end=tilde.end()))
        else:
            self._leaf(Phrase(inner, start=start, end=end))

    def _exact(self, start: int) -> None:
        self._field()
        end = self.text.find("}", start)
        if end < 0:
            raise self._error("this brace is never closed", start, start + 1, "add `}` where the exact text ends")
        inner = " ".join(self.text[start + 1 : end].split())
        if "{" in inner:
            raise self._error("a brace within braces", start, end + 1, "close the first with `}`")
        if not _says_something(inner):
            raise self._error(
                "these braces hold no letter or digit", start, end + 1, "write the text to find, as {NATO}"
            )
        self._leaf(Exact(inner, start=start, end=end + 1))

    def _regex(self, start: int) -> bool:
        """Read a regular expression, if it is one that starts here, and not an operator or the path of an address."""
        text = self.text
        inside = self.field_before or (self.open[-1][1] if self.open else "")
        match = _REGEX.match(text, start)
        operator = _SLASH_OPERATOR.match(text, start)
        if match is None or operator or (inside in _PATH_FIELDS and not _REGEX_SIGNS.search(match[1])):
            return False
        self._field()
        if not match[2]:
            end = start + len((_RUN.match(text, start) or match)[0])
            fix = 'add `/` where it ends, or write "…" where words are meant'
            if text[start:end].lower() in ("/s", "/p"):
                fix = "in one sentence is SENTENCE(a AND b); paragraphs are not known, so write `a NEAR/50 b`"
                raise self._error(f"unknown operator `{text[start:end]}`", start, end, fix)
            raise self._error("this regular expression is never closed", start, end, fix)
        end = match.end()
        flags = (_FLAGS.match(text, end) or match)[0]
        if flags not in ("", "i"):
            fix = f'write {match[0]}i, or "…" in quotes if the words of a path are meant'
            raise self._error(f"`{flags}` is no flag of a regular expression; `i` is", end, end + len(flags), fix)
        if not match[1]:
            raise self._error("this regular expression is empty", start, end, "write what to find, as /cve-\\d+/i")
        pattern = re.sub(r"\\(.)", lambda found: "/" if found[1] == "/" else found[0], match[1])
        if (wrong := refusal(pattern, flags == "i")) is not None:
            message, fix, part = wrong
            at = text.find(part, start, end) if part else -1
            raise self._error(message, *((at, at + len(part)) if at >= 0 else (start, end)), fix)
        self._leaf(Regex(pattern, flags == "i", start=start, end=end + len(flags)))
        return True

    def _word(self, start: int, run: str) -> None:
        """One run of characters up to a blank, a bracket or a quote."""
        end = start + len(run)
        inside = self.field_before or (self.open[-1][1] if self.open else "")
        if run in _OPERATORS:
            self._add(run, start, end)
        elif near := _NEAR.match(run):
            self._near(start, run, near)
        elif function := _FUNCTION.match(run):
            self._function(start, run, function)
        elif inside not in META_FIELDS and (found := _FIELD.match(run)):
            self._field_name(start, run, found[1])
        elif run[0] in "@$" and len(run) > 1:
            self._field()
            self._check_commas(start, run)
            self._leaf((EntityRef if run[0] == "@" else MacroRef)(run[1:], start=start, end=end))
        else:
            self._term(start, run, self._field())

    def _near(self, start: int, run: str, near: re.Match[str]) -> None:
        name, distance = near[1], near[2]
        end = start + len(run)
        if distance is None:
            message = f"{name} needs a distance, for example {name}/12"
            raise self._error(message, start, end, f"write {name}/12, or `{name.lower()}` if the word is meant")
        ordered = name != "NEAR" or distance[-1:] in ("f", "F")
        number = self._number(
            distance.removesuffix("f").removesuffix("F"), name, start, end, MAX_DISTANCE, f"{name}/12"
        )
        self._add("NEAR", start, end, f"{'ONEAR' if ordered else 'NEAR'}/{number}")

    def _number(self, digits: str, name: str, start: int, end: int, most: int, example: str) -> int:
        if not (digits.isascii() and digits.isdigit()):
            raise self._error(f"{name} needs a number, for example {example}", start, end, f"write {example}")
        if len(digits) > 6 or int(digits) > most:
            message = f"{name} takes a number up to {most}, and this is more"
            raise self._error(message, start, end, f"write {most} or less, or join with AND")
        return int(digits)

    def _function(self, start: int, run: str, function: re.Match[str]) -> None:
        name, number = function[1], function[2]
        end = start + len(run)
        self._field()
        if not self.text[end:].lstrip().startswith(("(", "（")):
            example = {"ATLEAST": "ATLEAST/3", "FIRST": "FIRST/50"}.get(name, name)
            fix = f"write {example}(…), or `{name.lower()}` if the word is meant"
            raise self._error(f"{name} needs a group in parentheses", start, end, fix)
        if name in ("SENTENCE", "FORMS"):
            if number is not None:
                raise self._error(f"{name} takes no number", start, end, f"write {name}(…)")
            self._add(name, start, end)
            return
        example = "ATLEAST/3" if name == "ATLEAST" else "FIRST/50"
        value = self._number(number or "", name, start, end, MAX_COUNT, f"{example}(…)")
        if value == 0:
            raise self._error(f"{name}/0 asks for nothing", start, end, f"write {example}(…)")
        self._add(name, start, end, value)

    def _field_name(self, start: int, run: str, written: str) -> None:
        end = start + len(written) + 1
        name = written.lower()
        if name not in FIELDS:
            self._unknown_field(start, run, written)
        self._add("FIELD", start, end, name)
        self.field_before = name

    def _unknown_field(self, start: int, run: str, written: str) -> None:
        known = ", ".join(f"{name}:" for name in FIELDS)
        close = get_close_matches(written.lower(), FIELDS, 1, 0.65)
        name = _FIELD_SYNONYMS.get(written.lower()) or (close[0] if close else "")
        fix = f"did you mean `{name}:`?" if name else f'fields are {known}; if it is a text to find, write "{run}"'
        if written.lower() == "raw":
            fix = f"write {{{run[4:] or 'NATO'}}}: within braces case and signs count"
        raise self._error(f"unknown field `{written}:`", start, start + len(written) + 1, fix)

    def _term(self, start: int, run: str, inside: str) -> None:
        end = start + len(run)
        if (operator := operator_meant(run)) and not _says_something(run.lstrip("/")):
            raise self._error(f"unknown operator `{run}`", start, end, f"write {operator}")
        if run[0] in "-+!" and inside not in META_FIELDS:
            fix = f"write {_OPERATOR_SYNONYMS[run[0]]} {run[1:]}" if run[1:] else "write AND, OR or AND NOT"
            raise self._error(f"unknown operator `{run[0]}`", start, start + 1, fix)
        if inside not in META_FIELDS:
            if fix := _meant_elsewhere(run):
                raise self._error(f"`{run}` is written as in another tool", start, end, fix)
            self._check_commas(start, run)
            if (tilde := run.find("~")) >= 0:
                fix = f'write a wildcard, as {run[:tilde] if tilde > 2 else "deploy"}*, or "two words"~8'
                raise self._error("`~` stands only behind a phrase", start + tilde, end, fix)
            self._check_wildcards(run, start)
        if not _says_something(run):
            raise self._error(f"`{run}` has no letter or digit, so no text matches it", start, end, "remove it")
        self._leaf(Term(run, start=start, end=end))

    def _check_commas(self, start: int, run: str) -> None:
        for match in re.finditer(r"[,;，；、](?!(?<=\d,)\d)", run):
            at = start + match.start()
            message = f"`{match[0]}` is no operator"
            raise self._error(message, at, at + 1, 'join the words with OR or AND, or put them in "quotes" as a phrase')

    def _check_wildcards(self, run: str, start: int) -> None:
        """Each word of `run` has its wildcards behind enough letters. `start` is the place of `run`."""
        if _WILD.search(run) is None:
            return
        for match in _WORD_OF_TERM.finditer(run):
            word = match[0]
            place = start + match.start(), start + match.end()
            wild = _WILD.search(word)
            if wild is None:
                continue
            if not _letters(word[: wild.start()]):
                fix = f"write the beginning of the word before the `{wild[0]}`, or the words themselves joined by OR"
                raise self._error(f"`{word}` has a wildcard at the start of the word", *place, fix)
            before = _letters(word[: word.index("*")]) if "*" in word else LETTERS_BEFORE_STAR
            if before < LETTERS_BEFORE_STAR:
                fix = "write more of the word, or the words themselves joined by OR"
                if unicodedata.name(word[0], "").startswith(_UNSPACED_SCRIPTS):
                    fix = f"write `{word.replace('*', '')}` without it: this script is matched by character sequence"
                message = f"`{word}` has {before} letter{'s' * (before != 1)} before the `*`, and it needs 3"
                raise self._error(message, *place, fix)
            if _letters(word) < LETTERS_BEFORE_STAR:
                fix = "write more of the word, or the words themselves joined by OR"
                raise self._error(f"`{word}` has fewer than 3 letters beside the `?`", *place, fix)


def operator_meant(word: str) -> str:
    """Return our operator for one of another tool's (`ADJ`, `W/5`, `&&`), or ""."""
    if word in _OPERATOR_SYNONYMS:
        return _OPERATOR_SYNONYMS[word]
    match = _DISTANCE_OPERATOR.fullmatch(word)
    if match is None:
        return ""
    if match["name"] == "ADJ":  # it counts from one word to the other, so that ADJ1 is side by side
        return f"ONEAR/{max(int(match['distance'][:6]) - 1, 0)}"
    if match["name"] in _ORDERED_OPERATORS:
        return f"ONEAR/{match['distance']}"
    return f"NEAR/{match['distance']}" if match["name"] in _NEAR_OPERATORS and not word.isdigit() else ""


def _meant_elsewhere(run: str) -> str:
    """Return what to write for a word that only another tool's language explains (`hd=x`, `engineer$3`), or ""."""
    if run.isalnum():
        return ""
    if tag := _TAG.match(run):
        name = _FIELD_SYNONYMS.get(tag[1].lower())
        return f"write {name}:word or {name}:(one OR another)" if name else "leave it out: there is no such field"
    if endings := _ENDINGS.fullmatch(run):
        return f"write {endings[1]}*, or the words themselves joined by OR"
    if root := _ANY_ENDING.fullmatch(run):
        return f"write {root[1]}* for any ending, or {{{run}}} if the sign is meant"
    if weight := _WEIGHT.fullmatch(run):
        return f"leave the weight out: write {weight[1]}" if weight[1] else "leave it out: no word weighs more here"
    if first := _FIRST_WORDS.fullmatch(run):
        return f"write FIRST/{first[2]}({first[1]})"
    if within := _WITHIN.fullmatch(run):  # it counts from one word to the other
        return f"write `{within[1]} NEAR/{max(int(within[2][:6]) - 1, 0)} {within[3]}`"
    return ""


def _letters(text: str) -> int:
    return sum(char.isalnum() for char in text)


def _says_something(text: str) -> bool:
    return _LETTER.search(text) is not None


def tokens(text: str) -> list[Token]:
    """Return the tokens of `text`. Raises QueryError at the first mistake that one word or bracket shows by itself."""
    if len(text) > MAX_LENGTH:
        message = f"the query has {len(text):,} characters, and at most {MAX_LENGTH:,} are read"
        raise QueryError(message, text, MAX_LENGTH, MAX_LENGTH + 1, "make macros or an entity list of parts of it")
    return _Lexer(text).run()

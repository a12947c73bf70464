"""What is wrong with a query, all of it, and what would mend it.

A query is read up to its first mistake. So each mistake that was found is put right in a copy, by what its remedy names
or by a word in its place, and the copy is read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from monitor.config import Config
from monitor.errors import QueryError
from monitor.rules import Rules, check_draft

MOST = 8  # mistakes of one query that are told
_STEPS = 30  # that a copy is put right in
_CHARACTERS = 200_000  # that are read in all
_FIXES = 3  # of one mistake
_TICKED = re.compile(r"`([^`…]+)`")
_WRITE = re.compile(r"write ([^\s,`]+/\d+)")
_OPERATOR = re.compile(r"and|or|not|o?near(/\d+)?", re.IGNORECASE)
_MORE_WORDS = re.compile(r"(\s+(?!(?:AND|OR|NOT|O?NEAR)\b)[^\s()\"]+)+")
_WORD = "qqq"  # in the place of a mistake that has no other remedy
_IN_PLACE = (_WORD, "", "AND", "OR", f"{_WORD})")

Edit = tuple[int, int, str]  # characters from, to, and what comes in their place


@dataclass(frozen=True, slots=True)
class Fix:
    """A way to mend a query: what it then is. It is offered only when it does away with the mistake."""

    label: str
    query: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """A mistake in a query, at its place, and what would mend it."""

    message: str
    line: int
    column: int
    source: str
    carets: str
    remedy: str
    fixes: tuple[Fix, ...]


def mistakes(query: str, config: Config, rules: Rules) -> tuple[Wrong, ...]:
    """Return the mistakes of a query, in their order; none where it can be tried."""
    reader = _Reader(config, rules)
    text, at = query, list(range(len(query) + 1))  # the copy, and where each of its characters stands in the query
    found: list[tuple[QueryError, list[Edit]]] = []  # each mistake, and what put it right in the copy, by the query
    error, before = reader.read(text), None
    for _ in range(_STEPS):
        if error is None or not error.message or len(found) > MOST:
            break
        end = min(error.end, len(text))
        if before is None or not _same(before, error):
            fix = "" if _WORD in error.fix else error.fix
            found.append((QueryError(error.message, query, at[error.start], at[end], fix), []))
        edit = _put_right(error, reader)
        if edit is None:
            break
        start, end, new = edit
        found[-1][1].append((at[start], at[end], new))
        text, at = _edited(text, edit), at[:start] + [at[start]] * len(new) + at[end:]
        error, before = reader.read(text), error
    told = []
    for number, (one, _) in enumerate(found[:MOST]):
        others = [edit for other, (_, edits) in enumerate(found) if other != number for edit in edits]
        told.append((one.start, _wrong(one, tuple(_fixes(one, others, reader)))))
    return tuple(wrong for _, wrong in sorted(told, key=lambda one: one[0]))


def _wrong(error: QueryError, fixes: tuple[Fix, ...]) -> Wrong:
    source, _, carets = error.caret().partition("\n")
    return Wrong(error.message, error.line, error.column, source, carets, error.fix, fixes)


@dataclass(slots=True)
class _Reader:
    """Reads queries until it has read as much as a page can wait for; then all are called wrong from end to end."""

    config: Config
    rules: Rules
    spent: int = 0

    def read(self, text: str) -> QueryError | None:
        self.spent += len(text)
        if self.spent > _CHARACTERS and self.spent > len(text):
            return QueryError("", text, 0, len(text))
        try:
            check_draft(text, self.config, self.rules)
        except QueryError as error:
            return error
        return None


def _fixes(error: QueryError, others: Sequence[Edit], reader: _Reader) -> Iterator[Fix]:
    """Yield what the remedy names, put in, where nothing is wrong any more once the other mistakes are put right."""
    query, offered = error.text, 0
    meant = error.fix.startswith("did you mean")  # then a word is another one afterwards
    end = len(query.rstrip())
    for one in _named(error):
        for place in _places(error) if meant else [(0, len(query)), *_places(error), (end, end)]:
            mended = _edited(query, (*place, one))
            if mended == query or not (meant or _words(mended) == _words(query)):
                continue
            whole = _all_edited(query, [*others, (*place, one)])
            if whole is not None and reader.read(whole) is None:
                yield Fix(f"Use {one}" if len(one) <= 60 else "Use this", mended)
                offered += 1
                break
        if offered == _FIXES:
            return


def _named(error: QueryError) -> list[str]:
    """Return what the remedy says to write."""
    return list(dict.fromkeys([*_WRITE.findall(error.fix), *_TICKED.findall(error.fix)]))


def _put_right(error: QueryError, reader: _Reader) -> Edit | None:
    """Return what does away with a mistake, so that what follows is read too."""
    text, named = error.text, _named(error)
    end = len(text.rstrip())
    edits: list[Edit] = []
    if "never closed" in error.message:
        edits = [(end, end, one) for one in named]
    elif error.fix.startswith("did you mean") or _WRITE.search(error.fix):
        edits = [(*place, named[0]) for place in _places(error)]
    edits += [(*place, new) for place in _places(error) for new in _IN_PLACE]
    for edit in edits:
        mended = _edited(text, edit)
        left = reader.read(mended) if mended != text else error
        if _is_gone(edit, left) or (left is not None and left.start > error.start and _same(error, left)):
            return edit
    return None


def _is_gone(edit: Edit, left: QueryError | None) -> bool:
    """Whether an edit does away with a mistake: what is `left` is another, elsewhere, and not of the edit's making."""
    start, _, new = edit
    if left is None:
        return True
    made = new in ("AND", "OR") and _is_mixed(left) and _in_one_group(left.text, start + len(new), left.start)
    return not made and (left.end < start or left.start > start + len(new))


def _places(error: QueryError) -> list[tuple[int, int]]:
    """Return what of the text to replace: the mistake, and with the words that stand bare behind it."""
    end = min(error.end, len(error.text))
    more = _MORE_WORDS.match(error.text, end)
    return [(error.start, end), *([(error.start, more.end())] if more else [])]


def _same(before: QueryError, error: QueryError) -> bool:
    """Whether it is one mistake that several operators of one group make: AND and OR beside each other."""
    same = before.message == error.message and _is_mixed(error)
    return same and _in_one_group(error.text, before.start, error.start)


def _is_mixed(error: QueryError) -> bool:
    return error.message.startswith("AND and OR in one group")


def _in_one_group(text: str, one: int, other: int) -> bool:
    between = re.sub(r"[^()]", "", text[min(one, other) : max(one, other)])
    while "()" in between:
        between = between.replace("()", "")
    return not between


def _all_edited(text: str, edits: Sequence[Edit]) -> str | None:
    """Return a text with several edits in it; None where two of them are of one place."""
    before = len(text) + 1
    for edit in sorted(edits, reverse=True):
        if edit[1] > before:
            return None
        text, before = _edited(text, edit), edit[0]
    return text


def _edited(text: str, edit: Edit) -> str:
    start, end, new = edit
    return text[:start] + new + text[end:]


def _words(text: str) -> list[str]:
    """The words of a query that are no operators, in any order."""
    return sorted(word for word in re.findall(r"[^\s()\"]+", text) if not _OPERATOR.fullmatch(word))

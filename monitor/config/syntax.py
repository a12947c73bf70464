"""PyYAML's complaints, said for people: what is wrong, what to write, and where the eye should go. Pure."""

from __future__ import annotations

import yaml

# (part of PyYAML's context or problem, message, fix, point at the context's mark?). The first that fits is taken.
_SAYINGS = (
    ("while scanning a quoted scalar", "the quote that opens here is never closed",
     "close it with the same quote", True),
    ("found unknown escape character", "a backslash in double quotes begins an escape, and this is none",
     "use single quotes, or double the backslash", False),
    ("escape sequence of", "this escape in double quotes is not complete",
     "use single quotes, or double the backslash", False),
    ("but found '<stream end>'", "the file ends in the middle of a list, a mapping or a text",
     "finish it: a bracket or a quote above is not closed", True),
    ("expected ',' or ']'", "the list that `[` opens here is not closed, or a comma is missing in it",
     "close it with `]`; quote text that holds `,` `:` or brackets", True),
    ("expected ',' or '}'", "the mapping that `{` opens here is not closed, or a comma is missing in it",
     "close it with `}`; quote text that begins with `{`", True),
    ("while scanning an alias", "text that begins with `*` must be quoted", "put it in quotes", True),
    ("while scanning an anchor", "text that begins with `&` must be quoted", "put it in quotes", True),
    ("while scanning a tag", "text that begins with `!` must be quoted", "put it in quotes", True),
    ("while scanning a block scalar", "text that begins with `|` or `>` must be quoted", "put it in quotes", True),
    ("while scanning a directive", "text that begins with `%` must be quoted", "put it in quotes", True),
    ("found duplicate", "the file begins with directives", "remove the lines that begin with `%`", False),
    ("mapping values are not allowed", "a `:` stands where none can",
     "quote text that holds `: `; else check the indentation", False),
    ("could not find expected ':'", "a key without `:`, or text that is not indented", "write `key: value`", True),
    ("expected <block end>, but found '-'", "this `-` does not line up with the lines above",
     "give all of a list's items the same indentation", False),
    ("expected <block end>", "this does not line up with the lines above, or stands behind a quoted text",
     "give all keys of a mapping the same indentation; a text in quotes ends at its second quote", False),
    ("sequence entries are not allowed", "a list item `- ` cannot begin here", "put it on a line of its own", False),
    ("mapping keys are not allowed", "a key cannot begin here", "put it on a line of its own", False),
    ("expected '<document start>'", "the file goes on behind its end", "check the indentation of this line", False),
    ("expected the node content", "a value is missing before this", "write one, or put the text in quotes", False),
    ("found undefined tag handle", "text that begins with `!` must be quoted", "put it in quotes", False),
)  # fmt: skip


def explain(error: yaml.MarkedYAMLError, text: str) -> tuple[str, str, int]:
    """Return (message, fix, character offset in `text`) for an error of PyYAML's scanner or parser."""
    problem = error.problem_mark or error.context_mark
    offset: int = problem.index if problem is not None else 0
    opened: int = error.context_mark.index if error.context_mark is not None else offset
    if "cannot start any token" in (error.problem or ""):
        return (*_cannot_start(text[offset : offset + 1]), offset)
    said = f"{error.context or ''} {error.problem or ''}"
    for part, message, fix, at_context in _SAYINGS:
        if part in said:
            return message, fix, opened if at_context else offset
    return "this is not valid YAML", "check quotes, brackets and indentation here and on the line above", offset


def _cannot_start(character: str) -> tuple[str, str]:
    if character == "\t":
        return "a tab is used as indentation", "use blanks: YAML does not take tabs there"
    return f"text that begins with `{character}` must be quoted", "put it in quotes"

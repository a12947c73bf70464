r"""Regular expressions in RE2's syntax: linear time, so no look-around and no back-references. Pure.

`\b`, `\d`, `\w` and `\s` know ASCII letters only; `\pL` is a letter of any script. `.` stops at the end of a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import re2

MAX_PATTERN = 1_000  # characters
# Of one field. RE2 may read to the end of the text before each match, so this bounds the time that a text can take; it
# is what ATLEAST can ask for.
MAX_MATCHES = 1_000
MAX_SEARCHED = 400_000  # characters of a field
_MEMORY = (
    8 << 20
)  # bytes of a compiled expression with its automaton; RE2 goes slower, or refuses, rather than use more
_TRIED = ("", "a", "a b", "1.", "\n")  # texts in which an expression that can be empty is empty somewhere
_REMEDIES = (
    ("invalid perl operator: (?=", "RE2 looks neither ahead nor behind: join two expressions with AND or NEAR"),
    ("invalid perl operator: (?!", "RE2 looks neither ahead nor behind: join two expressions with AND NOT"),
    ("invalid perl operator: (?<", "RE2 looks neither ahead nor behind: join two expressions with AND or AND NOT"),
    ("invalid perl operator", "write (…) or (?:…) for a group; the flag i stands behind the expression"),
    ("invalid escape sequence: \\", "write the character without `\\`; RE2 has no back-references such as \\1"),
    ("missing )", "add `)` where the group ends, or write \\( for the character"),
    ("unexpected )", "remove it, or write \\) for the character"),
    ("missing ]", "add `]` where the set of characters ends, or write \\[ for the character"),
    ("no argument for repetition", "write what is repeated before it, or put `\\` before the character"),
    ("bad repetition operator", "write one of `*`, `+`, `?`, and `\\` before the character itself"),
    ("invalid repetition size", "repeat at most 1,000 times in all, and from the smaller number to the larger"),
    ("invalid character class range", "write the range from its first character to its last"),
    ("pattern too large", "repeat less, or join several expressions with OR"),
)


@lru_cache(maxsize=4096)
def compiled(pattern: str, ignore_case: bool) -> Any:
    """Return RE2's form of `pattern`. Raises re2.error where RE2 refuses it."""
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    options.never_capture = True
    options.case_sensitive = not ignore_case
    return re2.compile(pattern, options)


def found(pattern: str, ignore_case: bool, text: str) -> Iterator[tuple[int, int]]:
    """Yield where `pattern` matches in `text`, from and to (characters): at most MAX_MATCHES, in MAX_SEARCHED."""
    for count, match in enumerate(compiled(pattern, ignore_case).finditer(text[:MAX_SEARCHED]), 1):
        if match.end() > match.start():
            yield match.start(), match.end()
        if count == MAX_MATCHES:
            return


def refusal(pattern: str, ignore_case: bool) -> tuple[str, str, str] | None:
    """Return what is wrong with `pattern`, the remedy, and the part of it that is wrong ("": all); None if nothing."""
    if len(pattern) > MAX_PATTERN:
        message = f"a regular expression has at most {MAX_PATTERN:,} characters, and this one {len(pattern):,}"
        return message, "join several expressions with OR", ""
    try:
        expression = compiled(pattern, ignore_case)
    except re2.error as error:
        said = error.args[0]
        what = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        fix = next((remedy for start, remedy in _REMEDIES if what.startswith(start)), "see RE2's syntax")
        part = what.partition(": ")[2]
        if what.startswith(("missing", "unexpected")):
            part = ""  # RE2 repeats all of it
        return f"RE2 refuses this expression: {what[:120]}", fix, part
    if any(match.start() == match.end() for text in _TRIED for match in expression.finditer(text)):
        return (
            "this expression matches where there is nothing, so every text has it",
            "ask for a character: `+`, not `*`",
            "",
        )
    return None

"""A query in parts, each with what it is, for pages to colour. Pure; `monitor.query` decides what a query means."""

from __future__ import annotations

import re

_PART = re.compile(
    r"(?P<str>\"[^\"\n]*\"?(?:~\d+)?|\{[^}\n]*\}?)"
    r"|(?P<ent>[@$][\w.-]+)"
    r"|(?P<not>\bNOT\b)"
    r"|(?P<near>\b(?:O?NEAR|PRE)(?:/\d+)?|\b(?:ATLEAST|FIRST)/\d+|\b(?:SENTENCE|FORMS)\b)"
    r"|(?P<op>\b(?:AND|OR)\b|\b(?:title|lead|body|author|site|url|source|feed|tag|lang|country):)"
    r"|(?P<word>[^\s()\"@${]+)"
)


def coloured(query: str) -> list[tuple[str, str]]:
    """Return (kind, text) of each part of a query, in order; the kind is "" for blanks and parentheses."""
    parts: list[tuple[str, str]] = []
    at = 0
    for found in _PART.finditer(query):
        if found.start() > at:
            parts.append(("", query[at : found.start()]))
        kind = found.lastgroup or ""
        parts.append(("str" if kind == "word" else kind, found[0]))
        at = found.end()
    if at < len(query):
        parts.append(("", query[at:]))
    return parts

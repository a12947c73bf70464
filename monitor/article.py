"""A page → its text. The only importer of trafilatura. Pure; slow on hostile input, so call it in a worker."""

from __future__ import annotations

import re
from dataclasses import dataclass

import trafilatura

from monitor.text import clean

TEXT_LIMIT = 200_000  # characters
_PAYWALL = re.compile(rb'"isAccessibleForFree"\s*:\s*"?(false)"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Article:
    """What a page says. `published` is the page's own word for it; `paywalled` when it says it is not free."""

    title: str = ""
    text: str = ""
    published: str = ""
    language: str = ""
    canonical_url: str = ""
    paywalled: bool = False


def extract(html: bytes, url: str = "") -> Article:
    """Return the article in a page, an empty one when there is none."""
    found = trafilatura.bare_extraction(
        html, url=url or None, fast=True, include_comments=False, include_tables=False, with_metadata=True
    )
    paywalled = bool(_PAYWALL.search(html))
    if found is None:
        return Article(paywalled=paywalled)
    facts = found.as_dict()

    def fact(name: str) -> str:
        return clean(str(facts.get(name) or ""))

    return Article(fact("title"), fact("text")[:TEXT_LIMIT], fact("date"), fact("language"), fact("url"), paywalled)

"""The feeds that a web page leads to: what it announces, else what it links to that looks like one."""

from __future__ import annotations

import re
from itertools import islice

from lxml import etree

from monitor.urls import resolve, site

LOOKED_AT = 2_000_000  # characters of a page
ELEMENTS = 20_000  # links of a page that are looked at
MOST = 10  # feeds that are told

_TYPE = re.compile(r"(?i)\s*application/(?:(?:rss|atom|rdf)\+xml|feed\+json)\b")
_LOOKS = re.compile(r"(?i)[/.=](?:rss2?|atom|rdf|feeds?)(?:[/.?&=]|$)")
_COMMENTS = re.compile(r"(?i)comment|komment|coment")


def feeds_of(page: str, url: str) -> tuple[tuple[str, ...], bool]:
    """Return the addresses of feeds in a page, the likeliest first, and whether the page announces them itself.

    Feeds of comments come last. Links are taken for feeds only where nothing is announced, and on the page's own site.
    """
    parser = etree.HTMLParser(encoding="utf-8", recover=True, no_network=True, remove_comments=True, remove_pis=True)
    tree = etree.fromstring(page[:LOOKED_AT].encode("utf-8", "replace"), parser)
    if tree is None:
        return (), False
    bases = (element.get("href") for element in tree.iter("base"))
    base = resolve(url, next((href for href in bases if href), "")) or url
    announced = [
        (resolve(base, link.get("href", "")), link.get("title", ""))
        for link in islice(tree.iter("link"), ELEMENTS)
        if "alternate" in link.get("rel", "").lower().split() and _TYPE.match(link.get("type", ""))
    ]
    found = announced or [
        (address, "")
        for link in islice(tree.iter("a"), ELEMENTS)
        if _LOOKS.search(link.get("href", ""))
        if (address := resolve(base, link.get("href", ""))) and (not url or site(address) == site(url))
    ]
    found.sort(key=lambda one: _COMMENTS.search(" ".join(one)) is not None)
    addresses = dict.fromkeys(address for address, _ in found if address not in ("", url))
    return tuple(addresses)[:MOST], bool(announced)

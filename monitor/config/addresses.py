"""What a feed that is no plain address is asked by: searches and channels → addresses. Pure.

The sites' addresses are kept here and nowhere else. What is known of them is in docs/howto/sources.md.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlencode

from monitor.config.values import line, wrong
from monitor.config.values import quote as shown

GDELT_STORIES = 250  # the most that one answer holds
GDELT_SPAN = "1d"  # the time that is looked back over; a poll comes far more often

_SPELLING = {2: str.upper, 4: str.title}  # of a language's region and script: pt-BR, zh-Hant
_CHANNEL = re.compile(r"UC[\w-]{22}", re.ASCII)
_PLAYLIST = re.compile(r"(?:PL|UU|FL|OL)[\w-]{10,60}", re.ASCII)
_WITHIN = re.compile(rf"(?:{_CHANNEL.pattern})|(?:{_PLAYLIST.pattern})", re.ASCII)


def google_news(query: str, language: str = "", country: str = "") -> str:
    """Return the address of a search of Google News, in the edition of a language and country.

    The edition is named only where both are known; without either it is that of the United States in English.
    """
    if not language and not country:
        language, country = "en", "US"
    language = "-".join(
        _SPELLING.get(len(part), str.lower)(part) if at else part for at, part in enumerate(language.split("-"))
    )
    edition = f"{country}:{language}" if language and country else ""
    facts = {"q": query, "hl": language, "gl": country, "ceid": edition}
    said = urlencode({name: value for name, value in facts.items() if value}, quote_via=quote, safe=":")
    return f"https://news.google.com/rss/search?{said}"


def gdelt(query: str) -> str:
    """Return the address of a search of GDELT's DOC API, newest first."""
    facts = {
        "query": query,
        "mode": "artlist",
        "format": "json",
        "sort": "datedesc",
        "timespan": GDELT_SPAN,
        "maxrecords": str(GDELT_STORIES),
    }
    return f"https://api.gdeltproject.org/api/v2/doc/doc?{urlencode(facts, quote_via=quote, safe=':')}"


def youtube(identity: str) -> str:
    """Return the address of the feed of a YouTube channel (UC…) or playlist (PL…)."""
    kind = "channel_id" if _CHANNEL.fullmatch(identity) else "playlist_id"
    return f"https://www.youtube.com/feeds/videos.xml?{kind}={identity}"


def youtube_id(value: object) -> str:
    """The id of a YouTube channel or playlist; names (`@…`) and addresses have no feed of their own."""
    written = line(value)
    if _CHANNEL.fullmatch(written) or _PLAYLIST.fullmatch(written):
        return written
    within = _WITHIN.search(written) if "/" in written or "=" in written else None
    if within:
        raise wrong("{} is an address, not the id of a channel or playlist", f"write {shown(within.group())}", written)
    fix = "write the channel's id, `UC` and 22 letters (on its page: About, Share channel, Copy channel ID)"
    if written.startswith("@") or "/" in written:
        raise wrong("{} is a name or an address, and YouTube's feeds go by ids", fix, written)
    raise wrong("{} is not the id of a YouTube channel or playlist", f"{fix}, or a playlist's, `PL…`", written)

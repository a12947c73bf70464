"""The list of articles that GDELT's DOC API answers a search with, as JSON."""

from __future__ import annotations

import re
from typing import Any

from monitor.parse.raw import RawEntry, RawFeed

MOST = 1_000  # it sends 250
_SEEN = re.compile(r"(\d{4})(\d\d)(\d\d)T?(\d\d)(\d\d)(\d\d)Z?")
# It names languages in English; of one that is not here, the story's own words tell.
_NAMES = (
    "sq:albanian ar:arabic hy:armenian az:azerbaijani bn:bengali bs:bosnian bg:bulgarian ca:catalan zh:chinese "
    "hr:croatian cs:czech da:danish nl:dutch en:english et:estonian fi:finnish fr:french gl:galician ka:georgian "
    "de:german el:greek gu:gujarati he:hebrew hi:hindi hu:hungarian is:icelandic id:indonesian it:italian "
    "ja:japanese kn:kannada kk:kazakh ko:korean lv:latvian lt:lithuanian mk:macedonian ms:malay ml:malayalam "
    "mr:marathi mn:mongolian ne:nepali no:norwegian fa:persian pl:polish pt:portuguese pa:punjabi ro:romanian "
    "ru:russian sr:serbian si:sinhalese sk:slovak sl:slovenian so:somali es:spanish sw:swahili sv:swedish "
    "ta:tamil te:telugu th:thai tr:turkish uk:ukrainian ur:urdu vi:vietnamese"
)
_LANGUAGES = {name: code for code, name in (pair.split(":") for pair in _NAMES.split())}


def read(data: dict[str, Any]) -> RawFeed | None:
    """Return the articles of an answer, which is empty where the search found none; None where it has no such list."""
    articles = data.get("articles")
    if not isinstance(articles, list) and data:
        return None
    listed = articles or []
    entries = [_entry(one) for one in listed[:MOST] if isinstance(one, dict)]
    problems = [f"only {len(entries)} of {len(listed)} stories are read"] if len(entries) < len(listed) else []
    return RawFeed("gdelt", "GDELT", "", "", entries, problems)


def _entry(article: dict[str, Any]) -> RawEntry:
    def text(name: str) -> str:
        return value if isinstance(value := article.get(name), str) else ""

    return RawEntry(
        guid=text("url"),
        link=text("url"),
        title=text("title").replace("<", "&lt;"),
        published_raw=_SEEN.sub(r"\1-\2-\3T\4:\5:\6Z", text("seendate")),
        language=_LANGUAGES.get(text("language").strip().lower(), ""),
        source=text("domain"),
    )

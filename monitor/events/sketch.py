"""A story → the terms it is compared by. Pure.

A term is a word's stem cut to six letters, so that "captured", "captura" and "capturó" are one across languages; in
scripts without spaces two characters that stand together. Beside the words stand the declared
entities found in the story. Each term has an emphasis: words of the headline say more than those of the lead, and
names more than other words. What a headline tells of only as the occasion ("… after Maduro's capture") says less, since
many happenings have the same occasion.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from sys import intern

from monitor.text import UNSPACED, StoryText, fold, same_forms, written_words

TITLE, OCCASION, LEAD = 1.0, 0.4, 0.4  # emphasis by where a word stands
NAME = 1.35  # and the factor for what is written as a name
GIVEN = 0.7  # and for the words of a name before its last one: who says one says the other
ENTITY = 1.2
LEAD_WORDS = 40
MOST_TERMS = 64
_STEM = 6  # letters
_LEAD_CHARACTERS, _TITLE_CHARACTERS = 400, 400  # what is read of a story: more changes nothing, and costs

# These read what is in small letters: ignoring case takes three times as long. All that they look for begins at a word,
# which is asked once for all of it: else every one is tried at every letter.
_LIVE = re.compile(
    r"\b(?:(?:(?<!.)|(?<=^watch )|(?<=^follow ))live\b|(?<=[:–—-] )live(?!.)|live[ -](?:updates|blog|coverage|news)\b"
    r"|(?:live|news)[ -]?(?:ticker|blog)\b|minute by minute\b|as it happened\b|en (?:vivo|direct|directo)\b"
    r"|(?<!.)directo? ?[.:|]|minuto a minuto\b|ao vivo\b|(?<!.)diretta\b|in diretta\b"
    r"|(?:онлайн|прямая)[ -]трансляция\b|بث مباشر\b|(?<!.)مباشر\b ?[.:|]|تغطية (?:مباشرة|مستمرة)\b|لحظة بلحظة\b)"
    r"|直播|实时更新"
)
_LIVE_ADDRESS = re.compile(
    r"[/-](?:live|liveblog|live-(?:news|updates?|blog|story|coverage)|en-vivo|en-direct[eo]?|minuto-a-minuto)(?:[/-]|$)"
)
_ROUND_UP = re.compile(
    r"\b(?:(?:morning|evening|daily|weekly|news|midday|weekend) "
    r"(?:briefing|brief|round-?up|digest|wrap|bulletin|headlines|summary)\b"
    r"|(?<!.)(?:the |your )?(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day (?:morning |evening )?)?briefing\b(?! \w)"
    r"|today['’]s (?:(?:top|main) (?:news|stories)|(?:top )?headlines)\b|(?:news|world|week|day) in brief\b"
    r"|(?<!.)(?:first thing|newspaper headlines|the week ahead)\b(?! \w)"
    r"|things to know (?:for (?:mon|tues|wednes|thurs|fri|satur|sun|to)day|this|today)\b"
    r"|(?:week|day|month|year) in (?:review|pictures|photos)\b|(?<!.)in pictures\b|(?:news )?round-?up\b"
    r"|(?<!.)(?:what )?the papers(?: say)?\b|news quiz\b|corrections and clarifications\b"
    r"|(?<!.)(?:the )?top \d+ (?:news|stories|headlines)"
    r"|resumen (?:de (?:las )?noticias|del día|de la semana|semanal|informativo)\b|titulares (?:del? |de hoy)"
    r"|(?:las )?noticias (?:del día|de(?:l| hoy| la (?:mañana|tarde|noche)))\b|boletín (?:de noticias|informativo)\b"
    r"|las (?:claves|portadas) del día\b|revista de prensa\b"
    r"|presseschau\b|(?:tages|wochen)rückblick\b|(?:der tag|die nacht|die woche|nachrichten) im überblick\b"
    r"|(?:nachrichten|news|schlagzeilen) (?:am morgen|am abend|des tages)\b|(?:kurzmeldungen|nachrichtenüberblick)\b"
    r"|das wichtigste (?:vom tag|des tages|am (?:morgen|abend)|in kürze)\b"
    r"|revue de presse\b|l['’]essentiel de l['’]actu|l['’]actu(?:alité)? (?:du|de la) (?:jour|matin|soir|semaine)\b"
    r"|les (?:infos|titres) (?:du|de) (?:jour|matin|soir|la semaine)\b|ce qu['’]il faut retenir de l['’]actu"
    r"|(?<!.)à la une\b(?! \w)|rassegna stampa\b"
    r"|le notizie (?:del giorno|di oggi)\b|resumo (?:do dia|da semana|de notícias)\b"
    r"|обзор прессы\b|(?:главное за|итоги) (?:день|дня|неделю|недели)\b|главные новости\b"
    r"|نشرة (?:ال)?أخبار\b|موجز (?:ال)?(?:أخبار|أنباء)\b|(?:أبرز|أهم) (?:ال)?(?:أخبار|عناوين)\b"
    r"|حصاد (?:اليوم|الأسبوع)\b|جولة (?:في )?(?:الصحافة|الصحف)\b|عناوين الصحف\b)"
    r"|新闻联播|早报|晚报|要闻汇总|早间新闻|晚间新闻|今日要闻|每日要闻|一周回顾"
)
# What follows is the occasion, not the happening.
_OCCASION = re.compile(
    r"(?i)(?<=\s)(?:after|amid|despite|following|in (?:the )?wake of"
    r"|tras|después de|luego de|ante|en medio de|durante|pese a|após|depois de|apesar de|em meio a|dopo|nonostante"
    r"|après|malgré|suite à|sur fond de|nach|wegen|trotz|angesichts"
    r"|после|на фоне|из-за|несмотря на|після|через|بعد|وسط)\s"
)
# Names of several words, or of dots, that stand for one thing in every language.
_NAMED = {
    "EEUU": "US|U.S.|U.S.A.|USA|United States|EE.UU.|EE. UU.|EE UU|EEUU|Estados Unidos|États-Unis|Vereinigte Staaten"
    "|Vereinigten Staaten|Stati Uniti|США",
    "ONU": "UN|U.N.|United Nations|Naciones Unidas|Nations unies|Vereinte Nationen|Vereinten Nationen|Nações Unidas"
    "|ООН",
    "Britain": "UK|U.K.|United Kingdom|Reino Unido|Royaume-Uni|Großbritannien|Gran Bretaña",
    "NewYork": "New York|Nueva York|Nova York|Nova Iorque|Нью-Йорк",
}
_CODES = {name: code for code, names in _NAMED.items() for one in names.split("|") for name in (one, one.upper())}
_ALIASES = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(_CODES, key=len, reverse=True)))})(?!\w)")
# Forms of reports that tell of one happening in many outlets' words: how it came about, and what is known of it.
_BEGINS = "(?:(?<!.)|(?<=[:–—] ))"
_FORMS = {
    "~how": re.compile(
        rf"\b(?:(?:{_BEGINS}|(?<=\bsee )|(?<=\bhere['’]s )|(?<=\bthis is ))how (?!to\b|many\b|much\b|far\b|long\b)"
        rf"|{_BEGINS}(?:inside (?:the|an?|operation)|cómo|comment|so (?:lief|kam)|como (?:foi|os|as|o|a)"
        r"|come (?:è|gli|il|la)|как|كيف)\b|(?<!.)así (?:fue|ha sido|cayó|se)\b)"
    ),
    "~known": re.compile(
        r"\b(?:what (?:we|you|to|you need to) know|everything (?:we|you need to) know"
        r"|lo que (?:se sabe|sabemos)|qué (?:se sabe|sabemos)|ce que l['’]on sait"
        r"|was (?:wir|man) (?:bisher )?(?:über .*)?wei(?:ß|ss)|o que se sabe|cosa sappiamo"
        r"|что известно)\b|\bما نعرف"
    ),
}
# Words of the forms themselves, as terms: that both have these says no more than that both are of the form.
FORM_TERMS = frozenset(
    {"~how", "~known", "what", "know", "everyt", "need", "how", "inside", "see", "here"}
    | {"que", "sabe", "sabemo", "asi", "fue", "como", "sait", "comment", "weiss", "foi", "cosa", "sappia", "известн"}
)
_FIRST_WORDS = 12  # characters of a headline that are never an occasion
_DOTTED = re.compile(r"\b(?:[^\W\d_]{1,2}\.\s?){1,3}[^\W\d_]{1,2}\b\.?")  # U.S., EE. UU.
# What stands near a number that counts: a toll, a price. Any other number tells which one is meant: "package 3".
_COUNTED = re.compile(
    r"(?i)^(?:dead|deaths?|kill(?:s|ed|ing)?|die[sd]?|dying|people|injur\w+|hurt|wound\w*|missing|victims?|bodies|arrest\w*"
    r"|detain\w*|toll|casualties|homes|(?:m|b|tr)illions?|bn|percent|per|points|flee|muert\w+|herid\w+|personas|victimas"
    r"|desaparecid\w+|detenid\w+|fallecid\w+|millones|morte?s|blesses|personnes|disparus|victimes|tote|todesopfer"
    r"|verletzte|menschen|vermisste|millionen|mortos|feridos|pessoas|morti|feriti|persone|milioni|погиб\w+|ранен\w+"
    r"|человек|قتلى|قتيلا|جريحا|شخصا)$"
)
PRICE = re.compile(r"[$€£¥]\s?\d[\d.,]*|\d[\d.,]*\s?[%€£¥]")
THOUSANDS = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
_GROUPED = re.compile(r"(?<!\d)(?<!\d[.,])\d{1,3}(?:[.,]\d{3})+(?![.,]?\d)")  # 10,000: not in 12.01.2026
_POINT = re.compile(r"(?<=\d)[.,](?=\d)")
_PARTED = re.compile(r"\d[.,]\d")  # far sooner told than the others, which look at every letter
# Stands for the point of a decimal, which would end a word: a letter that looks like one.
_DOT = "\ua78f"
SPELLED = {
    word: str(number)
    for spelled in (
        "one two three four five six seven eight nine ten eleven twelve",
        "- dos tres cuatro cinco seis siete ocho nueve diez",
        "- deux trois quatre cinq six sept huit neuf dix",
        "- zwei drei vier funf sechs sieben acht neun zehn",
    )
    for number, word in enumerate(spelled.split(), 1)
}
_UNSPACED = re.compile(f"[{UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Sketch:
    """A story as events see it: its terms, the emphasis of each, and how each is written, for people to read.

    `at` is when it was published, in seconds. The first
    `title_terms` of the terms are the headline's, in its order, and `lead_terms` more the lead's. A `live` page reports
    one happening after another; a `round_up` several at once. `standing` is the headline without its numbers, by which
    one that comes again and again is known, and `series` those of its numbers that count nothing: "number 3", "2026".
    """

    terms: tuple[str, ...]
    emphasis: tuple[float, ...]
    written: tuple[str, ...]
    at: float
    source: str
    language: str
    title_terms: int = 0
    lead_terms: int = 0
    live: bool = False
    round_up: bool = False
    standing: int = 0
    series: int = 0
    names: int = 0


def sketch(story: StoryText, at: float, entities: Iterable[str] = ()) -> Sketch:
    """Return the sketch of a story published at `at` (seconds); `entities` are the keys of those found in it."""
    whole = story.title[:_TITLE_CHARACTERS].lower()  # "Live | …"
    # "Opinion | …", "… | CNN Politics": the label is no part of what happened.
    title = max(story.title[:_TITLE_CHARACTERS].split(" | "), key=len)
    numbered = _DOTTED.sub(_undotted, _aliased(title))
    title = _whole(numbered)
    lead = f"{story.summary[:_LEAD_CHARACTERS]} {story.text[:_LEAD_CHARACTERS]}".strip()
    lead = _whole(_DOTTED.sub(_undotted, _aliased(lead))) if lead else ""
    language = story.language
    small = title.lower()
    forms = {form: match for form, pattern in _FORMS.items() if (match := pattern.search(small))}
    # "'What he ate': Inside the operation": what stands before only adds colour.
    how = forms["~how"].start() if "~how" in forms else 0
    start = how if how and small[how - 2] in ":–—" else 0
    occasion = _OCCASION.search(title, max(start, _FIRST_WORDS))
    end, after = (len(title), len(title)) if occasion is None else occasion.span()
    # In a headline in title case, or all in capitals, capitals tell no names.
    names = not is_title_case(title)
    found: dict[str, tuple[float, str]] = {}
    called, title_terms = 0, 0
    reader = _reader(language)
    for place, text, named, most in (
        (TITLE, title[start:end], names, _TITLE_CHARACTERS),
        (OCCASION, title[:start], names, _TITLE_CHARACTERS),
        (OCCASION, title[after:], names, _TITLE_CHARACTERS),
        (LEAD, lead, True, LEAD_WORDS),
    ):
        if most == LEAD_WORDS:
            title_terms = len(found)
        for term, written, name in _terms(text, reader, most) if text else ():
            if term not in found and len(found) < MOST_TERMS:
                if name != 1.0 and named and place == TITLE:
                    called |= 1 << len(found)
                found[term] = (place * name if named else place, written)
    lead_terms = len(found) - title_terms
    for form in forms:
        found[form] = (0.0, "the form of the report")
    standing, series = _numbered(numbered, reader)
    for entity in sorted(set(entities))[:MOST_TERMS]:
        found["&" + "_".join(entity.split())] = (ENTITY, entity)
    shown = [written for _, written in found.values()]
    return Sketch(
        terms=tuple(map(intern, found)),
        emphasis=tuple([emphasis for emphasis, _ in found.values()]),
        written=tuple([word.replace(_DOT, ".") for word in shown] if _DOT in title or _DOT in lead else shown),
        at=at,
        source=story.source,
        language=language,
        title_terms=title_terms,
        lead_terms=lead_terms,
        live=bool(_LIVE.search(whole)),
        round_up=bool(_ROUND_UP.search(whole)),
        standing=standing,
        series=series,
        names=(called & ~1 or called) & (2**62 - 1),  # a first word has its capital anyway, and counts alone
    )


def is_live_address(url: str) -> bool:
    """Whether an address is that of a page that reports one happening after another."""
    return bool(_LIVE_ADDRESS.search(url[:_TITLE_CHARACTERS].lower()))


def _numbered(title: str, reader: _Reader) -> tuple[int, int]:
    """Return the hashes of a headline without its numbers, and of the numbers that count nothing (0: none do)."""
    if any(map(str.isdigit, title)):
        title = THOUSANDS.sub(" ", PRICE.sub(" ", title))
    folded = [reader[word][0] for word, _ in written_words(title)]
    numbers = {n: SPELLED.get(word, word) for n, word in enumerate(folded) if word[0].isdigit() or word in SPELLED}
    naming = [number for n, number in numbers.items() if not any(map(_COUNTED.match, folded[max(0, n - 3) : n + 3]))]
    rest = [word for n, word in enumerate(folded) if n not in numbers] if numbers else folded
    return zlib.crc32(" ".join(rest).encode()), zlib.crc32(" ".join(naming).encode()) if naming else 0


def _undotted(dotted: re.Match[str]) -> str:
    return dotted[0].replace(".", "").replace(" ", "") + " "


def _whole(text: str) -> str:
    """Write each number as one word, the same in languages that part thousands by dots and decimals by commas."""
    if _PARTED.search(text) is None:
        return text
    return _POINT.sub(_DOT, _GROUPED.sub(lambda number: number[0].replace(",", "").replace(".", ""), text))


def is_title_case(title: str) -> bool:
    """Whether capitals tell no names in a headline: most of its longer words begin with one."""
    long = [word for word in title.split() if len(word) > 3 and word[0].isalpha()]
    return len(long) > 2 and sum(word[0].isupper() for word in long) > len(long) * 0.7


def _aliased(text: str) -> str:
    return _ALIASES.sub(lambda name: _CODES[name[0]] + " ", text)


class _Reader(dict[str, tuple[str, str, bool, bool]]):
    """What each word of a language as it is written is to events, kept as long as there are not too many.

    That is: it folded, its term, whether it begins with a capital, and whether it is a character of a script without
    spaces.
    """

    def __init__(self, language: str) -> None:
        super().__init__()
        self._language = language

    def __missing__(self, written: str) -> tuple[str, str, bool, bool]:
        readers = list(_READERS.values())
        if sum(map(len, readers)) >= _REMEMBERED:
            for reader in readers:
                reader.clear()
        folded = fold(written)
        read = folded, stem(folded, self._language), written[0].isupper(), _UNSPACED.match(folded) is not None
        self[written] = read
        return read


_READERS: dict[str, _Reader] = {}
_REMEMBERED, _LANGUAGES = 1 << 16, 64  # words of all languages; languages, which are what publishers say


def _reader(language: str) -> _Reader:
    reader = _READERS.get(language)
    if reader is None:
        if len(_READERS) >= _LANGUAGES:
            _READERS.clear()
        reader = _READERS[language] = _Reader(language)
    return reader


def _terms(text: str, reader: _Reader, most: int) -> list[tuple[str, str, float]]:
    """Return the terms of the first words of `text`, how each is written there, and its factor as part of a name."""
    words = written_words(text)[:most]
    found = []
    # From the last to the first, since what a word is hangs on the next one.
    after, after_folded, after_capital, after_unspaced = "", "", False, False
    for written, gap in reversed(words):
        folded, term, capital, unspaced = reader[written]
        if not unspaced:
            found.append((term, written, 1.0 if not capital else GIVEN if after_capital and gap == " " else NAME))
        elif after_unspaced and not gap:
            found.append((folded + after_folded, written + after, 1.0))
        after, after_folded, after_capital, after_unspaced = written, folded, capital, unspaced
    found.reverse()
    return found


@lru_cache(maxsize=1 << 16)
def stem(folded: str, language: str) -> str:
    """Return the term of a folded word: what has digits nearly whole, else its shortest stem, cut to six letters."""
    if len(folded) > 40 or any(letter.isdigit() for letter in folded):
        return folded[:20]
    stems = [key[1:] for key in same_forms(folded, language) if key[0] == "="]
    return min(stems, key=lambda one: (len(one), one), default=folded)[:_STEM] or folded[:_STEM]

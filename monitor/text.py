"""Words, folding, sentences, languages and stems: the one definition of a word that queries and stories share. Pure.

A word is a run of letters and digits with their marks (Unicode categories L, Nd, Nl, M), after UAX #29 in spirit, with
three decisions of the query language: hyphen, slash, apostrophe, full stop and underscore part words; a possessive `'s`
is no word; and in scripts written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) each character is a
word of its own, so that a phrase of them is a sequence of characters. Korean has spaces and keeps its words.

Two words are the same when `fold` makes them equal.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import Stemmer

# Longest run of combining marks that is kept: normalising takes quadratic time in it (40,000 marks: seven seconds),
# and no language stacks as many.
_MARKS_KEPT = 16
_CACHED_WORD = 40  # characters; longer words are folded each time, so that hostile ones do not fill the cache


def series(names: Sequence[str], most: int = 3) -> str:
    """Return names in a row: "a, b and c"; of more than `most` + 1 "a, b, c and 4 more"."""
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""


@dataclass(frozen=True, slots=True)
class StoryText:
    """A story as rules see it; `text` is its body as plain text. What is not known is empty."""

    id: str = ""
    title: str = ""
    summary: str = ""
    text: str = ""
    language: str = ""
    source: str = ""
    feed: str = ""
    tags: tuple[str, ...] = ()
    url: str = ""
    author: str = ""
    country: str = ""


# The parts of a story that evidence may lie in.
FIELDS = ("title", "summary", "text", "author", "url", "source", "feed", "tag", "lang", "country")


class Evidence(NamedTuple):
    """What made a rule true: characters `start` to `end` of the story's `field` (one of FIELDS) as published.

    `term` is as written in the query (`deploy*`, `@venezuela`), or the alias found where entities are asked for;
    `entity` is the entity's name (its key) where an alias was found. In "tag" the span lies in the tag itself.
    """

    field: str
    start: int
    end: int
    term: str
    entity: str = ""


class Word(NamedTuple):
    """A word: its folded form, and the characters `start` to `end` of the text it stands in."""

    folded: str
    start: int
    end: int


def _ranges(codes: Iterable[int]) -> str:
    """Return `codes` (ascending) as the inside of a regular expression's character class."""
    runs: list[list[int]] = []
    for code in codes:
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in runs)


# Dropped wherever they stand: soft hyphen, zero-width characters, bidi marks, Arabic tatweel, variation selectors, the
# frames of emoji (a keycap is its digit).
IGNORED = (
    "\u20dd-\u20e0\u20e2-\u20e4\u00ad\u034f\u061c\u0640"
    "\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
)
_BLOCKS_WITHOUT_SPACES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese, and its extensions
    (0xA9E0, 0xA9FF),
    (0xAA60, 0xAA7F),
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # Han: iteration mark, closing mark, zero
    (0x3021, 0x3029),
    (0x3041, 0x30FF),  # kana, and their extensions
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9D),  # half-width kana
    (0x1AFF0, 0x1B16F),
    (0x20000, 0x3FFFF),
)
APOSTROPHES = "'’‘ʼʻ＇′´`"  # also what is typed for one
# Half-width voicing marks are letters to Unicode, yet belong to the kana before them.
MARKS = (
    _ranges(code for code in range(0x300, 0x1F000) if unicodedata.category(chr(code))[0] == "M")
    + "\uff9e\uff9f\U000e0100-\U000e01ef"
)
UNSPACED = _ranges(
    code
    for low, high in _BLOCKS_WITHOUT_SPACES
    for code in range(low, high + 1)
    if low >= 0x20000 or unicodedata.category(chr(code)) in ("Lo", "Lm", "Nl")
)
# What `\w` holds besides letters and decimal digits: superscripts, fractions, numbers in circles.
_OTHER_NUMBERS = _ranges(code for code in range(0xB2, 0x1F110) if unicodedata.category(chr(code)) == "No")
_LETTER = rf"[^\W_{UNSPACED}{_OTHER_NUMBERS}ʼʻ\uff9e\uff9f\u0640]"
# Letters are read in runs: trying letter or mark at each character takes four times as long.
_WORD = re.compile(rf"[{UNSPACED}][{MARKS}{IGNORED}]*|{_LETTER}+(?:[{MARKS}{IGNORED}]+{_LETTER}*)*")
_ASCII_WORD = re.compile(r"[a-z0-9]+")
# Most texts are Latin letters and the punctuation of printers: there a word is one run, found in a third of the time.
_LATIN = "[0-9A-Za-z\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f]"
_LATIN_WORD = re.compile(f"{_LATIN}+")
_LATIN_WRITTEN = re.compile(f"({_LATIN}+)(?:( )(?={_LATIN})|[{APOSTROPHES}][sS](?!{_LATIN}))?")
_HAS_APOSTROPHE = re.compile(f"[{APOSTROPHES}]").search
_RARE = re.compile("[^\x00-\u00ac\u00ae-\u024f\u2010-\u2027\u20ac]")
_TRAILING = re.compile(rf"[{IGNORED}]+\Z")
_DROPPED = re.compile(rf"[{IGNORED}]+")
TOO_MANY_MARKS = re.compile(rf"([{MARKS}]{{{_MARKS_KEPT}}})[{MARKS}]+")

# Letters that do not decompose; the rest of Latin loses its accents by decomposition.
_LETTERS = str.maketrans(
    {
        "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th",
        "ß": "ss", "ĳ": "ij", "ŀ": "l",
        "ё": "е", "ѐ": "е", "ѝ": "и",  # Cyrillic keeps й, ї, ў: they are letters, not accents
        "ى": "ي", "ی": "ي", "ک": "ك", "ٱ": "ا",  # alef maqsura; Persian ya and kaf; alef wasla
    }
)  # fmt: skip
# Marks that fold to nothing on whatever letter they stand: Hebrew points, Arabic vowels and hamzas.
SEMITIC_MARKS = ("\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
                 "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u08ca-\u08e1\u08e3-\u08ff")  # fmt: skip
_ACCENTS = re.compile(f"[\u0300-\u036f{SEMITIC_MARKS}]+")
# Latin, Greek, Hebrew and Arabic letters that decompose; Latin and Greek extended; compatibility and width forms.
_DECOMPOSED = re.compile("[\u00c0-\u024f\u0370-\u03ff\u0590-\u06ff\u1e00-\u1fff]+")
_WIDTH_FORMS = re.compile("[\ufb00-\ufb4f\ufb50-\ufdff\ufe70-\ufefc\uff01-\uffee]+")
_DIGITS = re.compile(r"[^\D0-9]")


def _composed(text: str) -> str:
    """Return `text` in NFC, with runs of combining marks cut to a length that takes no quadratic time."""
    return text if text.isascii() else unicodedata.normalize("NFC", TOO_MANY_MARKS.sub(r"\1", text))


def fold(text: str) -> str:
    """Return the form of `text` in which query words and stories are compared.

    Case is folded in every script, accents in Latin, Greek, Arabic and Hebrew (й stays й, kana keep their voicing);
    alef and ya are unified, width forms and digits too; tatweel, zero-width characters and soft hyphens are dropped.
    Folding a folded text changes nothing.
    """
    if text.isascii():
        return text.lower()
    # Some ligatures and isolated marks come apart with a space inside; what was one word stays one.
    text = _WIDTH_FORMS.sub(lambda m: unicodedata.normalize("NFKC", m[0]).replace(" ", ""), _composed(text))
    text = _composed(_DROPPED.sub("", text)).casefold().translate(_LETTERS)
    text = _DECOMPOSED.sub(lambda m: unicodedata.normalize("NFD", m[0]), text)
    text = _ACCENTS.sub("", text).translate(_LETTERS)
    return unicodedata.normalize("NFC", _DIGITS.sub(lambda m: str(unicodedata.decimal(m[0])), text))


_fold_cached = lru_cache(maxsize=1 << 16)(fold)


def _fold_word(word: str) -> str:
    return _fold_cached(word) if len(word) <= _CACHED_WORD else fold(word)


def words(text: str) -> tuple[Word, ...]:
    """Return the words of `text` in order, with their places in `text` as it stands (characters)."""
    if text.isascii():
        lowered = text.lower()
        return tuple(
            Word(m[0], m.start(), m.end())
            for m in _ASCII_WORD.finditer(lowered)
            if m[0] != "s" or not _possessive(text, m.start())
        )
    pattern, trailing = (_WORD, _TRAILING.search) if _RARE.search(text) else (_LATIN_WORD, None)
    found = []
    for match in pattern.finditer(text):
        (start, end), word = match.span(), match[0]
        if trailing is not None and (ignored := trailing(word)) is not None:
            word, end = word[: ignored.start()], start + ignored.start()
        folded = _fold_word(word)
        if folded and (folded != "s" or not _possessive(text, start)):
            found.append(Word(folded, start, end))
    return tuple(found)


def written_words(text: str) -> list[tuple[str, str]]:
    """Return the words of `text` as they are written there, each with what stands between it and the next.

    Of text in Latin letters only a single space is told, all else as ""; that takes a fifth of the time of `words`.
    """
    if _RARE.search(text) is None:
        return _LATIN_WRITTEN.findall(text)
    found = words(text)
    between = [text[one.end : two.start] for one, two in pairwise(found)]
    return [(text[word.start : word.end], gap) for word, gap in zip(found, [*between, "."], strict=False)]


def folded_words(text: str) -> tuple[str, ...]:
    """Return the folded words of `text` in order, without their places, which take most of the time of `words`."""
    if text.isascii() and "'" not in text and "`" not in text:  # without an apostrophe no s is a possessive
        return tuple(_ASCII_WORD.findall(text.lower()))
    if _RARE.search(text) is None and not _HAS_APOSTROPHE(text):
        return tuple([_fold_word(word) for word in _LATIN_WORD.findall(text)])
    return tuple([word.folded for word in words(text)])


def possessive(text: str, start: int) -> bool:
    """Whether the word that begins at `start` is the s of a possessive: a lone one behind a word and an apostrophe."""
    word = _WORD.match(text, start)
    return word is not None and _fold_word(_TRAILING.sub("", word[0])) == "s" and _possessive(text, start)


def _possessive(text: str, start: int) -> bool:
    """Whether the lone s at `start` follows a word and an apostrophe."""
    return start >= 2 and text[start - 1] in APOSTROPHES and unicodedata.category(text[start - 2])[0] in "LNM"


# A sentence ends at a full stop before a blank and no lower-case letter, but not after an initial ("U.S. army") or a
# common title; East Asian scripts need no blank. Each run of stops is tried once, so the cost is linear.
_SENTENCE_END = re.compile(
    r"(?<![.!?…؟۔।])(?<!\b[^\W\d_])(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bMrs)(?<!\bGen)(?<!\bCol)(?<!\bSen)(?<!\bGov)"
    r"[.!?…؟۔।]++[\"'”’»)\]]*+(?=\s++[^\sa-z])"
    r"|(?<![。！？])[。！？]++[」』”’）]*+"
    r"|\n++"
)


def sentences(text: str) -> tuple[tuple[int, int], ...]:
    """Return the sentences of `text` as character ranges that follow one another and cover it."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    if text and (not ends or ends[-1] < len(text)):
        ends.append(len(text))
    return tuple(zip([0, *ends], ends, strict=False))


# NULs and other C0 and C1 controls; bidi controls, which can reorder a line on screen; noncharacters.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1b\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)
_BLANKS = re.compile(r"\s+")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Return `text` fit to store and to show on one line.

    Surrogates are joined to the character they make, or dropped when alone; controls are dropped; every run of blanks
    (line breaks and tabs too) becomes one space, at the ends none; the rest is composed (NFC).
    """
    if _SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    text = _HARMFUL.sub("", text)
    return _composed(_BLANKS.sub(" ", text).strip())


# --- languages

_SAMPLE = 600  # characters of a story that its language is told by: more change no answer, and each costs a microsecond
_SURE = (
    0.5  # below, a detected language is not believed; of 4,977 sentences and headlines 1 % fall below, .1 % are wrong
)
# Languages that news are told by; the detector knows 60 more, most of them close to one of these and rarely written.
_DETECTED = (
    "af am ar az be bg bn bs ca cs cy da de el en eo es et eu fa fi fr ga gl gu ha he hi hr hu hy id is it ja ka kk km "
    "kn ko ku ky lo lt lv mk ml mn mr ms my ne nl no pa pl ps pt ro ru si sk sl so sq sr sv sw ta te th tl tr uk ur uz "
    "vi yo zh zu"
)


def primary(language: str) -> str:
    """Return the first subtag of a language, in small letters: "en" for "en-GB"."""
    return language.replace("_", "-").partition("-")[0].lower()


def language_of(story: StoryText) -> str:
    """Return the language that the story or its feed states; without one, the detected one; "" where that is not sure.

    Detecting takes about a millisecond, the first time a second (the model is loaded), and is remembered.
    """
    return story.language or detect(f"{story.title} {story.summary} {story.text[:_SAMPLE]}"[:_SAMPLE])


@lru_cache(maxsize=1024)
def detect(text: str) -> str:
    """Return the language that the first 600 characters of `text` are written in, or "" where that is not sure."""
    language, sure = _detector().classify(text[:_SAMPLE])
    return str(language) if sure >= _SURE else ""


@lru_cache(maxsize=1)
def _detector() -> Any:
    # Late, because the model takes a second and 100 MB, and most stories state their language.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(_DETECTED.split())
    return identifier


# --- inflected forms

_STEMMERS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish",
    "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "it": "italian", "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian",
    "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian",
    "st": "sesotho", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
# The language whose stemmer is tried where a story's is not known, by the script of the word.
_BY_SCRIPT = (
    (re.compile("[a-z\u00e0-\u024f\u1e00-\u1eff]"), "en"),
    (re.compile("[\u0400-\u052f]"), "ru"),
    (re.compile("[\u0600-\u06ff]"), "ar"),
    (re.compile("[\u0370-\u03ff\u1f00-\u1fff]"), "el"),
    (re.compile("[\u0900-\u097f]"), "hi"),
    (re.compile("[\u0b80-\u0bff]"), "ta"),
    (re.compile("[\u0530-\u058f]"), "hy"),
)
_LONGEST_STEMMED = 60  # characters; what is longer has no inflected forms
# What Arabic writes onto a word: and, so; with, to, as; the article. At least three letters of the word remain.
_ATTACHED = re.compile("[وف]?(?:لل|[بلك]?ال|[بلك])|[وف]")
_ARTICLE = re.compile("ال(?=...)")


def forms_language(word: str, language: str) -> str:
    """Return the language by whose rules `word` is inflected: `language`, or by its script where that is ""."""
    if language:
        return primary(language)
    lowered = word.lower()
    return next((code for letters, code in _BY_SCRIPT if letters.match(lowered)), "")


def same_forms(written: str, language: str) -> frozenset[str]:
    """Return the keys of a word of a story, as written: it is a form of a word of a query if they share one."""
    return _story_keys(written, forms_language(written, language))


def wanted_forms(written: str, language: str) -> frozenset[str]:
    """Return the keys of a word of a query, as written; see `same_forms`."""
    return _query_keys(written, forms_language(written, language))


@lru_cache(maxsize=1 << 14)
def _query_keys(written: str, language: str) -> frozenset[str]:
    if language != "ar":
        return frozenset(_keys(written, language))
    plain = fold(written)
    readings = (plain, plain[2:]) if _ARTICLE.match(plain) else (plain,)
    # A stem without the first letter took a letter of the word for something attached: وزير is no form of زير.
    keys = (key for reading in readings for key in _keys(reading, language) if key.lstrip("=")[:1] == reading[:1])
    return frozenset(keys)


@lru_cache(maxsize=1 << 17)
def _story_keys(written: str, language: str) -> frozenset[str]:
    if language != "ar":
        return frozenset(_keys(written, language))
    bare = (key for plain in without_attached(fold(written)) for key in _keys(plain, language))
    return frozenset((*_keys(written, language), *bare))


def without_attached(folded: str) -> list[str]:
    """Return what an Arabic word may be without what is written onto it: every reading of at least three letters."""
    return [folded[end:] for end in range(1, 5) if len(folded) - end >= 3 and _ATTACHED.fullmatch(folded, 0, end)]


def _keys(written: str, language: str) -> Iterator[str]:
    """Yield the folded word, and its stems with its accents and without, for those who leave them out."""
    folded = fold(written)
    yield folded
    stemmer = _stemmer(language)
    if stemmer is None or len(written) > _LONGEST_STEMMED:
        return
    lowered = written.replace("I", "ı").replace("İ", "i") if language == "tr" else written
    yield f"={fold(stemmer.stemWord(_composed(lowered).lower()))}"
    yield f"={fold(stemmer.stemWord(folded))}"


@lru_cache(maxsize=64)
def _stemmer(language: str) -> Any:
    """Return the stemmer of a language, or None. It keeps no memo of its own: `_story_keys` is one, and is bounded."""
    name = _STEMMERS.get(language)
    return None if name is None else Stemmer.Stemmer(name, 0)

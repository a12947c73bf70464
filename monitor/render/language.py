"""The languages of messages: fixed words from gettext catalogs, numbers, times and lists as readers write them.

English is the language of the templates themselves. Every other one is a catalog `locale/CODE.po` beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Literal

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_timedelta
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations

from monitor.render import escape

ENGLISH = "en"
_DAY_FIRST = {"en": "en_GB"}  # what a language is without a country; dates read "24 November"
_QUOTES = {"ar": "«{}»", "de": "„{}“", "es": "«{}»", "fr": "«\u00a0{}\u00a0»"}


class Language:
    """One language of messages. `code` is that of its catalog, `is_rtl` whether it is written from the right."""

    def __init__(self, code: str, locale: Locale, translations: NullTranslations) -> None:
        self.code = code
        self.translations = translations
        self.is_rtl = locale.text_direction == "rtl"
        self._locale = locale

    @property
    def dir(self) -> str:
        """HTML's `dir`."""
        return "rtl" if self.is_rtl else "ltr"

    @property
    def name(self) -> str:
        """What the language calls itself."""
        name: str = self._locale.get_language_name(self._locale.language) or self.code
        return name[:1].upper() + name[1:]

    @property
    def mark(self) -> str:
        """What a line of plain text begins with where its first letter may run the other way."""
        return escape.RIGHT_TO_LEFT if self.is_rtl else ""

    def number(self, value: float) -> str:
        """Return a number with the language's signs; a fraction has one decimal place, and none from ten on."""
        return format_decimal(value, format="#,##0" if abs(value) >= 10 else "#,##0.#", locale=self._locale)

    def clock(self, at: datetime) -> str:
        """Return the time of day, 24 hours."""
        return f"{at.hour:02d}:{at.minute:02d}"

    def weekday(self, at: date) -> str:
        """Return the name of the day."""
        return format_date(at, "EEEE", locale=self._locale)

    def date(self, at: date, now: date | None = None) -> str:
        """Return day and month, and the year where `now` is known and has another."""
        if now is not None and at.year != now.year:
            return format_date(at, "long", locale=self._locale)
        return format_skeleton("MMMMd", at, locale=self._locale)

    def day(self, at: datetime, now: datetime | None) -> str:
        """Return "" for today, the weekday within seven days, else the date. Both times are in the reader's zone."""
        days = (now.date() - at.date()).days if now else 7
        if days == 0:
            return ""
        return self.weekday(at) if 0 < days < 7 else self.date(at, now)

    def moment(self, at: datetime, now: datetime | None) -> str:
        """Return the time, after its day where that is not today."""
        return f"{self.day(at, now)} {self.clock(at)}".lstrip()

    def span(self, length: timedelta) -> str:
        """Return a length of time in its largest unit: "24 hours", "3 days"."""
        return format_timedelta(length, threshold=1.5, locale=self._locale)

    def exactly(self, length: timedelta) -> str:
        """Return a length of time in whole hours, minutes or seconds: "90 seconds", "15 minutes"."""
        seconds = round(length.total_seconds())
        unit: Literal["hour", "minute", "second"]
        unit = "second" if seconds % 60 else "minute" if seconds % 3600 else "hour"
        return format_timedelta(length, granularity=unit, threshold=float("inf"), locale=self._locale)

    def series(self, names: Iterable[str], most: int = 3) -> str:
        """Return "a, b and c"; more than `most` + 1 names as "a, b, c and 4 more"."""
        shown = list(names)
        extra = len(shown) - most if len(shown) > most + 1 else 0
        if extra:
            more = self.translations.ungettext("%(num)s more", "%(num)s more", extra)
            shown = [*shown[:most], more % {"num": self.number(extra)}]
        return format_list(shown, locale=self._locale)

    def isolate(self, text: str) -> str:
        """Return `text` so that it does not reorder what stands beside it in this language."""
        return escape.isolate(text, self.is_rtl)

    def quote(self, text: str) -> str:
        """Return `text` in the language's quotation marks."""
        return _QUOTES.get(self.code, "“{}”").format(self.isolate(text))

    def wrap(self, text: str, first: str = "", rest: str = "") -> str:
        """Return `text` in the lines of a mail's text part; see `escape.wrap`."""
        return escape.wrap(text, first, rest, is_rtl=self.is_rtl)

    def pad(self, text: str, width: int) -> str:
        """Return `text` cut or filled with blanks to `width` columns."""
        return escape.pad(text, width, self.is_rtl)


def languages(folder: Path) -> tuple[str, ...]:
    """Return the codes of the languages that the templates in `folder` speak, English among them."""
    return tuple(sorted({ENGLISH, *(path.stem for path in (folder / "locale").glob("*.po"))}))


def load_language(tag: str, folders: Sequence[Path]) -> Language:
    """Return the language of a tag such as `es` or `pt-br` by the catalogs in `folders`; English where there is none.

    Raises OSError, ValueError for a catalog that cannot be read.
    """
    for code in (tag.lower(), tag.lower().partition("-")[0]):
        for folder in folders:
            path = folder / "locale" / f"{code}.po"
            if path.is_file():
                return Language(code, _locale(tag, code), _read(path))
    english = tag if tag.partition("-")[0] == ENGLISH else ENGLISH
    return Language(ENGLISH, _locale(english, ENGLISH), NullTranslations())


def _locale(tag: str, code: str) -> Locale:
    for name in (_DAY_FIRST.get(tag, tag), _DAY_FIRST.get(code, code)):
        try:
            return Locale.parse(name.replace("-", "_"))
        except (UnknownLocaleError, ValueError):
            continue
    return Locale.parse(_DAY_FIRST[ENGLISH])


def _read(path: Path) -> Translations:
    with path.open("rb") as file:
        catalog = read_po(file, abort_invalid=True)
    compiled = BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return Translations(compiled)

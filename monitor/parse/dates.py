"""A publisher's date → UTC, or None. Our own reading comes before feedparser's, which errs without a word (notes on
feeds, section 2: `2016/6/29` read as November, `IST` and `CET` as UTC, epoch seconds as the year 1763)."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)
_WEST, _EAST = timedelta(hours=12), timedelta(hours=14)  # the zones furthest from Greenwich
_PLACES = {  # names for standard and summer time alike
    "et": "America/New_York",
    "ct": "America/Chicago",
    "mt": "America/Denver",
    "pt": "America/Los_Angeles",
}

_ZONES = {  # hours east of Greenwich; names that several zones share are read as news feeds mostly mean them
    "ut": 0,
    "utc": 0,
    "gmt": 0,
    "z": 0,
    "wet": 0,
    "bst": 1,
    "west": 1,
    "cet": 1,
    "mez": 1,
    "cest": 2,
    "mesz": 2,
    "eet": 2,
    "eest": 3,
    "msk": 3,
    "trt": 3,
    "gst": 4,
    "pkt": 5,
    "ist": 5.5,
    "npt": 5.75,
    "ict": 7,
    "wib": 7,
    "hkt": 8,
    "sgt": 8,
    "pht": 8,
    "awst": 8,
    "jst": 9,
    "kst": 9,
    "acst": 9.5,
    "aest": 10,
    "aedt": 11,
    "nzst": 12,
    "nzdt": 13,
    "sast": 2,
    "cat": 2,
    "eat": 3,
    "wat": 1,
    "brt": -3,
    "art": -3,
    "clt": -4,
    "cot": -5,
    "pet": -5,
    "est": -5,
    "edt": -4,
    "cst": -6,
    "cdt": -5,
    "mst": -7,
    "mdt": -6,
    "pst": -8,
    "pdt": -7,
    "ast": -4,
    "adt": -3,
    "nst": -3.5,
    "ndt": -2.5,
    "akst": -9,
    "hst": -10,
}
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan januar january janvier enero ene gennaio gen janeiro stycznia янв января ιαν "
            "januari ocak oca січня січ ledna ianuarie ian tammikuuta tammikuu يناير január",
            "feb februar february février fevrier févr fevr fév febrero febbraio fev fevereiro lutego фев февраля φεβ "
            "februari şubat şub лютого лют února únor helmikuuta helmikuu فبراير február",
            "mar mär mrz märz march mars marzo março maart mrt marca мар марта μαρ "
            "marts maret mart березня бер března březen martie maaliskuuta maaliskuu مارس március",
            "apr april avril abril abr aprile avr kwietnia апр апреля απρ "
            "nisan nis квітня кві dubna duben aprilie huhtikuuta huhtikuu أبريل ابريل إبريل április",
            "may mai mayo maggio mag maio mei maja мая май μαϊ μαι "
            "maj mayıs травня тра května květen toukokuuta toukokuu مايو május",
            "jun juni june juin junio giugno giu junho czerwca июн июня ιουν "
            "haziran haz червня чер června červen iunie iun kesäkuuta kesäkuu يونيو يونيه június",
            "jul juli july juillet juil julio luglio lug julho lipca июл июля ιουλ "
            "temmuz tem липня лип července červenec iulie iul heinäkuuta heinäkuu يوليو يوليه július",
            "aug august août aout agosto ago augustus sierpnia авг августа αυγ "
            "agustus ağustos ağu серпня сер srpna srpen elokuuta elokuu أغسطس اغسطس augusztus",
            "sep sept september septembre septiembre settembre set setembro września сен сент сентября σεπ "
            "eylül eyl вересня вер září septembrie syyskuuta syyskuu سبتمبر szeptember",
            "oct okt october oktober octobre octubre ottobre ott outubro out października окт октября οκτ "
            "ekim eki жовтня жов října říjen octombrie lokakuuta lokakuu أكتوبر اكتوبر október",
            "nov november novembre noviembre novembro listopada ноя нояб ноября νοε "
            "kasım kas листопада лис listopadu noiembrie noi marraskuuta marraskuu نوفمبر",
            "dec dez december dezember décembre decembre déc diciembre dicembre dezembro dic grudnia дек декабря δεκ "
            "desember aralık ara грудня гру prosince prosinec decembrie joulukuuta joulukuu ديسمبر",
        ),
        1,
    )
    for name in names.split()
}
_AT = r"(?:(?:um|-|alle|à|o|at|om|às|kl\.?|saat|в|о|ob)\s+)?"
_TIME = r"(\d{1,2})[:h時时시]\s?(\d{1,2})(?:[:分분]\s?(\d{1,2}))?[分분秒초]?(?:[.,]\d+)?\s*([AaPp][Mm])?"
_CLOCK = rf"(?:[Tt,\s]+{_AT}{_TIME})?"
_ZONE = r"\s*([Zz]|[A-Za-z]{2,5}|[A-Z][A-Za-z]{1,20}/[A-Za-z_/]{2,40})?(?:\d[A-Za-z]{3})?\s*([+-]\d{1,2}(?::?\d{2})?)?"
_DAY = r"(\d{1,2})(?:st|nd|rd|th|er|\.)?"
_LAST_WORD = r"(?:,?\s[^\W\d_]{3,12})?"  # a weekday
_YEAR_FIRST = re.compile(rf"(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_CLOCK}{_ZONE}")
_DAY_FIRST = re.compile(rf"(\d{{1,2}})[-/.](\d{{1,2}})[-/.](\d{{4}}){_CLOCK}{_ZONE}")
_SHORT_YEAR = re.compile(rf"(\d{{1,2}})\.(\d{{1,2}})\.(\d\d){_CLOCK}{_ZONE}")
_AMERICAN = re.compile(rf"[A-Z][a-z]+,?\s(\d\d)/(\d\d)/(\d{{4}}){_CLOCK}{_ZONE}")
_NAMED = re.compile(
    rf"(?:[^\W\d_]+(?:-feira)?\.?,?\s*)?{_DAY}(?:\s+|-)(?:de\s+)?([^\W\d_]+)\.?,?(?:\s+|-)(?:de[l]?\s+)?(\d{{4}})"
    rf"(?:\s?[гр]\.)?{_CLOCK}{_ZONE}{_LAST_WORD}"
)
_NAME_FIRST = re.compile(rf"(?:[^\W\d_]+\.?,?\s+)?([^\W\d_]+)\.?\s+{_DAY},?\s+(\d{{4}}){_CLOCK}{_ZONE}")
_YEAR_NAMED = re.compile(rf"(\d{{4}})(?:-|\.\s?)([^\W\d_]+)(?:-|\s)(\d{{1,2}})\.?{_CLOCK}{_ZONE}{_LAST_WORD}")
_VIETNAMESE = re.compile(rf"(\d{{1,2}})\stháng\s(\d{{1,2}}),?\s(?:năm\s)?(\d{{4}}){_CLOCK}{_ZONE}")
_EAST_ASIAN = re.compile(rf"(\d{{4}})\s?[年년]\s?(\d{{1,2}})\s?[月월]\s?(\d{{1,2}})\s?[日일](?:[T,\s]*{_TIME})?{_ZONE}")
_DAY_OF_YEAR = re.compile(r"(\d{4})-?(\d{3})")
_MONTH_ONLY = re.compile(r"(\d{4})(?:-(\d{2}))?")
_RUN = re.compile(r"\d{14}")
_EPOCH = re.compile(r"\d{10}(\d{3})?")
_COMMENT = re.compile(r"\([^()]*\)|\($")
_TIME_FIRST = re.compile(r"(\d{1,2}:\d{2}(?::\d{2})?(?:\s?[AaPp][Mm])?),?\s(.+)")
_HALF_FIRST = re.compile(r"(오전|上午|午前|오후|下午|午後)\s*(\d{1,2}[:時时시][\d:時时시分분]*)")
_SIGNS = str.maketrans({"\u2010": "-", "\u2011": "-", "\u2013": "-", "\u2212": "-", "،": ","})
# Where no month is named, feedparser fills what it does not understand with today's month and day.
_MONTH_NAMED = re.compile(r"[^\W\d_]{3}")
_FORMS = (
    (_YEAR_FIRST, "ymd"),
    (_DAY_FIRST, "dmy"),
    (_NAMED, "dny"),
    (_NAME_FIRST, "ndy"),
    (_EAST_ASIAN, "ymd"),
    (_SHORT_YEAR, "dmy"),
    (_YEAR_NAMED, "ynd"),
    (_VIETNAMESE, "dmy"),
)


def parse_date(raw: str, otherwise: datetime | None = None) -> datetime | None:
    """Return what `raw` says, in UTC; `otherwise` (feedparser's reading) where we cannot; None for no date.

    A time without a zone is UTC. The first day of 1970 (some program's zero) and what lies before it or after 2100 are
    mistakes, and no date.
    """
    # Full-width digits become ASCII ones; other scripts' digits are understood as they are.
    text = " ".join(_COMMENT.sub(" ", unicodedata.normalize("NFKC", raw[:200])).split())[:100]
    text = _HALF_FIRST.sub(_half_last, text.translate(_SIGNS))
    if match := _TIME_FIRST.fullmatch(text):
        text = f"{match.group(2)} {match.group(1)}"
    found = _read(text)
    if found is None and otherwise and _MONTH_NAMED.search(text) and _says_year(text, otherwise):
        found = otherwise
    if found is None or not EARLIEST <= found < LATEST:
        return None
    return found.astimezone(UTC)


def _half_last(match: re.Match[str]) -> str:
    return f"{match.group(2)} {'AM' if match.group(1) in ('오전', '上午', '午前') else 'PM'}"


def _says_year(text: str, found: datetime) -> bool:
    """Whether a reading's year stands in the text; feedparser fills what it does not understand with today's."""
    years = {(found + timedelta(days=days)).year for days in (-1, 0, 1)}  # in the publisher's zone it may be another
    numbers = set(re.findall(r"\d+", text))
    return any({str(year), f"{year % 100:02}"} & numbers for year in years)


def _read(text: str) -> datetime | None:
    if match := _EPOCH.fullmatch(text):
        seconds = int(text) / (1000 if match.group(1) else 1)
        return datetime.fromtimestamp(seconds, UTC)
    # Drupal's form; only the weekday tells which number is the month.
    if match := _AMERICAN.fullmatch(text):
        readings = [_build(match.groups(), order) for order in ("mdy", "dmy")]
        fitting = [one for one in readings if one and one.strftime("%a") == text[:3]]
        return next(iter(fitting), readings[0] or readings[1])
    for pattern, order in _FORMS:
        match = pattern.fullmatch(text)
        if match and (found := _build(match.groups(), order)):
            return found
    try:
        if match := _DAY_OF_YEAR.fullmatch(text):
            return datetime.strptime("".join(match.groups()), "%Y%j").replace(tzinfo=UTC)
        if match := _MONTH_ONLY.fullmatch(text):
            return datetime(int(match.group(1)), int(match.group(2) or 1), 1, tzinfo=UTC)
        if _RUN.fullmatch(text):
            return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        found = parsedate_to_datetime(text) if _MONTH_NAMED.search(text) else datetime.fromisoformat(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _build(groups: tuple[str | None, ...], order: str) -> datetime | None:
    parts = dict(zip(order, groups[:3], strict=True))
    hour, minute, second, half, zone, offset = groups[3:]
    month = _MONTHS.get(str(parts["n"]).lower(), 0) if "n" in parts else int(parts["m"] or 0)
    day = int(parts["d"] or 0)
    if order == "dmy" and month > 12 >= day:  # an American date
        day, month = month, day
    hours = int(hour or 0)
    if half:
        hours = hours % 12 + (12 if half.lower() == "pm" else 0)
    year = int(parts["y"] or 0)
    if year < 100:
        year += 2000 if year < 70 else 1900
    try:
        midnight = datetime(year, month, day, tzinfo=_zone(zone, offset))
        # 24:00 is the end of the day (ISO 8601), and 23:59:60 a leap second.
        if hours > 24 or int(minute or 0) > 59 or int(second or 0) > 60:
            return None
        return midnight + timedelta(hours=hours, minutes=int(minute or 0), seconds=int(second or 0))
    except (ValueError, OverflowError):
        return None


def _zone(name: str | None, offset: str | None) -> tzinfo:
    """Return a zone by its offset or name. One that cannot be is read as UTC: the date is then right within a day."""
    if offset:
        hours, minutes = int(offset[1:3].strip(":")), 0
        if len(offset) > 3:
            hours, minutes = int(offset[1:-2].strip(":")), int(offset[-2:])
        shift = timedelta(hours=hours, minutes=minutes) * (-1 if offset[0] == "-" else 1)
        return timezone(shift) if minutes < 60 and -_WEST <= shift <= _EAST else UTC
    if not name:
        return UTC
    place = _PLACES.get(name.lower(), name)
    if "/" in place:
        with contextlib.suppress(ZoneInfoNotFoundError, ValueError, OSError):
            return ZoneInfo(place)
    return timezone(timedelta(hours=_ZONES.get(name.lower(), 0)))

"""A publisher's date → UTC, or None. Our own reading comes before feedparser's, which errs without a word (notes on
feeds, section 2: `2016/6/29` read as November, `IST` and `CET` as UTC, epoch seconds as the year 1763)."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# A day after the time that computers count from: nearer to it, a clock was not set or a field was empty.
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
            "jan januar january januari janvier enero ene gennaio gen janeiro stycznia янв января січ січня "
            "ιαν ιανουαρίου oca ocak led ledna ian ianuarie tammikuu tammikuuta január يناير",
            "feb februar february februari février fevrier févr fevr fév febrero febbraio fev fevereiro "
            "lutego фев февраля лют лютого φεβ φεβρουαρίου şub şubat úno února únor februarie helmikuu helmikuuta "
            "február فبراير شباط",
            "mar mär mrz märz march mars marzo março maart mrt marca marts maret мар марта бер березня μαρ "
            "μαρτίου mart bře března březen martie maaliskuu maaliskuuta március مارس آذار",
            "apr april avril abril abr aprile avr kwietnia апр апреля кві квіт квітня απρ απριλίου nis nisan "
            "dub dubna duben aprilie huhtikuu huhtikuuta április أبريل ابريل إبريل نيسان",
            "may mai mayo maggio mag maio mei maja maj мая май тра трав травня μαϊ μαι μαΐου μαίου mayıs kvě "
            "května květen toukokuu toukokuuta május مايو أيار",
            "jun juni june juin junio giugno giu junho czerwca июн июня чер черв червня ιουν ιουνίου haz "
            "haziran čvn června červen iun iunie kesäkuu kesäkuuta június يونيو يونيه حزيران",
            "jul juli july juillet juil julio luglio lug julho lipca июл июля лип липня ιουλ ιουλίου tem "
            "temmuz čvc července červenec iul iulie heinäkuu heinäkuuta július يوليو يوليه تموز",
            "aug august août aout agosto ago augustus sierpnia augusti agustus авг августа сер серп серпня "
            "αυγ αυγούστου ağu ağustos srp srpna srpen elokuu elokuuta augusztus أغسطس اغسطس آب",
            "sep sept september septembre septiembre settembre set setembro września сен сент сентября вер "
            "вересня σεπ σεπτεμβρίου eyl eylül zář září septembrie syyskuu syyskuuta szeptember سبتمبر أيلول",
            "oct okt october oktober octobre octubre ottobre ott outubro out października окт октября жов "
            "жовт жовтня οκτ οκτωβρίου eki ekim říj října říjen octombrie lokakuu lokakuuta október أكتوبر اكتوبر",
            "nov november novembre noviembre novembro listopada ноя нояб ноября лис лист листопада νοε "
            "νοεμβρίου kas kasım listopadu noi noiembrie marraskuu marraskuuta نوفمبر",
            "dec dez december dezember décembre decembre déc diciembre dicembre dezembro dic grudnia des "
            "desember дек декабря гру груд грудня δεκ δεκεμβρίου ara aralık pro prosince prosinec decembrie joulukuu "
            "joulukuuta ديسمبر",
        ),
        1,
    )
    for name in names.split()
}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_AFTERNOON = {"p", "오후", "下午", "午後"}
_WORD = r"[^\W\d_]+"
_WEEKDAY = rf"(?:(?P<weekday>{_WORD})(?:-feira)?\.?[,،]?\s*)?"
_CLOCK = (
    r"(?:(?:[T,،\s]+|(?<=[日일]))(?:(?:um|at|alle|ore|klo?\.?|om?|à|às|saat|в|о|ob|-|\|)\s+)?"
    r"(?:(?P<before>오전|오후|上午|下午|午前|午後)\s?)?"
    r"(?P<hour>\d{1,2})(?:(?P<mark>[:.])|\s?[h時时点點시]\s?)(?P<minute>\d{1,2})"
    r"(?:(?:(?P=mark)|\s?[分분]\s?)(?P<second>\d{1,2})(?:\s?[秒초])?|\s?[分분])?(?:[.,]\d+)?"
    r"(?:\s*(?P<after>[ap])\.?\s?m\b\.?)?)?"
)
_ZONE = (
    r"\s*(?P<zone>Z|[A-Z]{2,5}|[A-Z]{2,21}/[A-Z_/]{2,40})?(?:\d[A-Z]{3})?"
    r"\s*(?P<offset>[+-]\d{1,2}(?::?\d{2})?)?"
)
_FORMS = (
    *(
        re.compile(form + _CLOCK + _ZONE, re.IGNORECASE)
        for form in (
            r"(?P<y>\d{4})[-/.]\s?(?P<m>\d{1,2})[-/.]\s?(?P<d>\d{1,2})\.?",
            _WEEKDAY + r"(?P<d>\d{1,2})[-/.](?P<m>\d{1,2})[-/.](?P<y>\d{4})",
            r"(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{2})",
            _WEEKDAY + rf"(?P<d>\d{{1,2}})(?:\.|st|nd|rd|th|er|º)?(?:\s+|-)(?:de\s+|of\s+)?(?P<n>{_WORD})\.?,?(?:\s+|-)"
            rf"(?:del?\s+)?(?P<y>\d{{4}})(?:\s?[гр]\.)?(?:,?\s{_WORD})??",
            rf"(?:{_WORD}\.?,?\s+)?(?P<n>{_WORD})\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th|\.)?,?\s+(?P<y>\d{{4}})",
            rf"(?P<y>\d{{4}})(?:\.?\s|-)(?P<n>{_WORD})(?:\.?\s|-)(?P<d>\d{{1,2}})\.?(?:,?\s{_WORD})??",
            r"(?P<y>\d{4})\s?[年년]\s?(?P<m>\d{1,2})\s?[月월]\s?(?P<d>\d{1,2})\s?[日일]",
            rf"(?:{_WORD},?\s){{0,3}}(?P<d>\d{{1,2}})\stháng\s(?P<m>\d{{1,2}})(?:,|\snăm)\s(?P<y>\d{{4}})",
        )
    ),
    re.compile(r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)?" + _ZONE, re.I),
    re.compile(r"(?P<y>\d{4})(?:-(?P<m>\d\d))?"),
)
_TIME_FIRST = re.compile(
    r"(?i)(\d{1,2}:\d{2}(?::\d{2})?(?:\s?[ap]\.?m\b\.?)?(?:\s[A-Z]{3,4})?)(?:,?\s-?\s?|,)(?:on\s)?(.+)"
)
_DAY_OF_YEAR = re.compile(r"(\d{4})-?(\d{3})")
_EPOCH = re.compile(r"(\d{10})(?:\.\d{1,9})?|(\d{13})")
_COMMENT = re.compile(r"\([^()]*\)|\($")
_DASHES = str.maketrans("−–—‐‑", "-----")
# Where no month is named, feedparser fills what it does not understand with today's month and day.
_MONTH_NAMED = re.compile(r"[^\W\d_]{3}")


def parse_date(raw: str, otherwise: datetime | None = None) -> datetime | None:
    """Return what `raw` says, in UTC; `otherwise` (feedparser's reading) where we cannot; None for no date.

    A time without a zone is UTC; a month or year alone is its first day. What lies before 2 January 1970 or after 2100
    is a mistake, and no date.
    """
    # Full-width digits become ASCII ones; other scripts' digits are understood as they are.
    text = unicodedata.normalize("NFKC", raw[:200]).translate(_DASHES)
    text = " ".join(_COMMENT.sub(" ", text).split())[:100]
    found = _read(text)
    if found is None and (match := _TIME_FIRST.fullmatch(text)):
        found = _read(f"{match[2]} {match[1]}")
    if found is None and otherwise is not None and _stands_in(otherwise, text):
        found = otherwise
    return found.astimezone(UTC) if found is not None and EARLIEST <= found < LATEST else None


def _stands_in(found: datetime, text: str) -> bool:
    """Whether a text says this year and day (in whatever zone): where it does not, feedparser took today's."""
    numbers = {int(digits) for digits in re.findall(r"\d{1,9}", text)}
    try:
        near = [found + timedelta(hours=hours) for hours in (-14, 0, 14)]
    except OverflowError:
        return False
    return bool(_MONTH_NAMED.search(text)) and any({day.year, day.day} <= numbers for day in near)


def _read(text: str) -> datetime | None:
    if match := _EPOCH.fullmatch(text):
        return datetime.fromtimestamp(int(match[1]) if match[1] else int(match[2]) / 1000, UTC)
    for pattern in _FORMS:
        match = pattern.fullmatch(text)
        if match and (found := _build(match.groupdict())):
            return found
    try:
        if match := _DAY_OF_YEAR.fullmatch(text):
            return datetime.strptime("".join(match.groups()), "%Y%j").replace(tzinfo=UTC)
        found = parsedate_to_datetime(text) if _MONTH_NAMED.search(text) else datetime.fromisoformat(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _build(parts: Mapping[str, str | None]) -> datetime | None:
    year, day = int(parts["y"] or 0), int(parts.get("d") or 1)
    if len(parts["y"] or "") == 2:
        year += 2000 if year < 69 else 1900  # as POSIX and RFC 5322 read them
    month = _MONTHS.get(str(parts["n"]).lower(), 0) if "n" in parts else int(parts["m"] or 1)
    hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
    if half := (parts.get("after") or parts.get("before") or "").lower():
        hour = hour % 12 + (12 if half in _AFTERNOON else 0)
    # 24:00 is the end of the day (ISO 8601), and 23:59:60 a leap second.
    if hour > 24 or minute > 59 or second > 60:
        return None
    try:
        if _american(year, month, day, parts):
            day, month = month, day
        midnight = datetime(year, month, day, tzinfo=_zone(parts.get("zone"), parts.get("offset")))
        return midnight + timedelta(hours=hour, minutes=minute, seconds=second)
    except (ValueError, OverflowError):
        return None


def _american(year: int, month: int, day: int, parts: Mapping[str, str | None]) -> bool:
    """Whether what was read as day and month are month and day: no month has that number, or the weekday says so."""
    if "weekday" not in parts or "n" in parts or day > 12:
        return False
    weekday = str(parts["weekday"]).lower()[:3]
    return month > 12 or (weekday in _DAYS and _DAYS[date(year, day, month).weekday()] == weekday)


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

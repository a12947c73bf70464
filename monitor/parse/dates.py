"""A publisher's date → UTC, or None. Our own reading comes before feedparser's, which errs without a word (notes on
feeds, section 2: `2016/6/29` read as November, `IST` and `CET` as UTC, epoch seconds as the year 1763)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

EARLIEST, LATEST = 1990, 2100

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
    "akst": -9,
    "hst": -10,
}
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan januar january janvier enero ene gennaio janeiro",
            "feb februar february février fevrier febrero febbraio fev fevereiro",
            "mar mär mrz märz march mars marzo março",
            "apr april avril abril abr aprile avr",
            "may mai mayo maggio maio mag",
            "jun juni june juin junio giugno junho giu",
            "jul juli july juillet julio luglio julho lug",
            "aug august août aout agosto ago",
            "sep sept september septembre septiembre settembre setembro set",
            "oct okt october oktober octobre octubre ottobre outubro ott out",
            "nov november novembre noviembre novembro",
            "dec dez december dezember décembre decembre diciembre dicembre dezembro dic",
        ),
        1,
    )
    for name in names.split()
}
_CLOCK = r"(?:[T,\s]+(?:um\s+)?(\d{1,2}):(\d{2})(?::(\d{2}))?(?:[.,]\d+)?\s*([AaPp][Mm])?)?"
_ZONE = r"\s*(Z|UTC|GMT|[A-Za-z]{2,5})?\s*([+-]\d{1,2}:?\d{2})?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_CLOCK}{_ZONE}")
_DAY_FIRST = re.compile(rf"(\d{{1,2}})[/.](\d{{1,2}})[/.](\d{{4}}){_CLOCK}{_ZONE}")
_NAMED = re.compile(
    rf"(?:[^\W\d_]+\.?,?\s*)?(\d{{1,2}})\.?(?:\s+|-)(?:de\s+)?([^\W\d_]+)\.?,?(?:\s+|-)(?:de\s+)?(\d{{4}}){_CLOCK}{_ZONE}"
)
_NAME_FIRST = re.compile(rf"(?:[^\W\d_]+\.?,?\s+)?([^\W\d_]+)\.?\s+(\d{{1,2}}),?\s+(\d{{4}}){_CLOCK}{_ZONE}")
_EPOCH = re.compile(r"\d{10}(\d{3})?")


def parse_date(raw: str, otherwise: datetime | None = None) -> datetime | None:
    """Return what `raw` says, in UTC; `otherwise` (feedparser's reading) where we cannot; None for no date."""
    text = " ".join(raw.split())[:100]
    found = _read(text) or otherwise
    if found is None or not EARLIEST <= found.year <= LATEST:
        return None
    return found.astimezone(UTC)


def _read(text: str) -> datetime | None:
    if match := _EPOCH.fullmatch(text):
        seconds = int(text) / (1000 if match.group(1) else 1)
        return datetime.fromtimestamp(seconds, UTC)
    for pattern, order in ((_YEAR_FIRST, "ymd"), (_DAY_FIRST, "dmy"), (_NAMED, "dny"), (_NAME_FIRST, "ndy")):
        match = pattern.fullmatch(text)
        if match and (found := _build(match.groups(), order)):
            return found
    try:
        found = parsedate_to_datetime(text)
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
    shift = _shift(zone, offset)
    if shift is None:
        return None
    try:
        midnight = datetime(int(parts["y"] or 0), month, day, tzinfo=timezone(shift))
        # 24:00 is the end of the day (ISO 8601), and 23:59:60 a leap second.
        if hours > 24 or int(minute or 0) > 59 or int(second or 0) > 60:
            return None
        return midnight + timedelta(hours=hours, minutes=int(minute or 0), seconds=int(second or 0))
    except (ValueError, OverflowError):
        return None


def _shift(zone: str | None, offset: str | None) -> timedelta | None:
    """Return the offset from UTC, None for one that cannot be; without any it is UTC."""
    if offset:
        sign = -1 if offset[0] == "-" else 1
        digits = offset[1:].replace(":", "").zfill(4)
        shift = sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        return shift if abs(shift) < timedelta(hours=24) else None
    if not zone:
        return timedelta(0)
    hours = _ZONES.get(zone.lower())
    return None if hours is None else timedelta(hours=hours)

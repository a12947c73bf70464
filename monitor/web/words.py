"""How pages say numbers and times: 24-hour clock in the zone of the pages, relative only within the hour. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from monitor.errors import URLError
from monitor.service.clocks import with_times
from monitor.urls import check_url

_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]  # the pages' language, whatever the machine's
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def ticked(text: str) -> Markup:
    """Return a sentence with what stands between `backticks` in the letters of the machine, as a page shows it."""
    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:  # the last one opens what nothing closes
        parts[-2:] = [parts[-2] + "`" + parts[-1]]
    pairs = (Markup("<code><bdi>{}</bdi></code>").format(part) if at % 2 else part for at, part in enumerate(parts))
    return Markup("").join(pairs)


def safe_link(url: str) -> str:
    """Return an address as a page may link to it, or "": of http(s) only, and one that our own fetching would take."""
    try:
        return url if urlsplit(check_url(url)).scheme in ("http", "https") else ""
    except URLError:
        return ""


class Words:
    """The words of one page, made at `now` and read in `zone`."""

    def __init__(self, now: datetime, zone: ZoneInfo) -> None:
        self.now, self.zone = now.astimezone(zone), zone

    def clock(self, at: datetime | None, none: str = "–") -> Markup:
        """A time: 14:05 today, Tuesday 14:05 within a week, else 24 November."""
        if at is None:
            return escape(none)
        local = at.astimezone(self.zone)
        days = (self.now.date() - local.date()).days
        if days == 0:
            said = f"{local:%H:%M}"
        elif -7 < days < 7:
            said = f"{_DAYS[local.weekday()]} {local:%H:%M}"
        else:
            said = self.date(at)
        return self._time(at, said)

    def exact(self, at: datetime | None, none: str = "–") -> Markup:
        """The same to the second."""
        if at is None:
            return escape(none)
        local = at.astimezone(self.zone)
        day = "" if local.date() == self.now.date() else f"{self.date(at)} "
        return self._time(at, f"{day}{local:%H:%M:%S}")

    def local(self, text: str, after: datetime | None = None) -> str:
        """A stored sentence, whose times are UTC, with these as the page says them (`service.clocks`)."""
        return with_times(text, after or self.now, lambda at: self.clock(at).striptags())

    def date(self, at: datetime) -> str:
        """A date: 24 November, with the year where it is another."""
        local = at.astimezone(self.zone)
        year = "" if local.year == self.now.year else f" {local.year}"
        return f"{local.day} {_MONTHS[local.month - 1]}{year}"

    def ago(self, at: datetime | None, none: str = "never") -> Markup:
        """How long ago, within the hour; else the time."""
        if at is None:
            return escape(none)
        past = self.now - at
        if timedelta(0) <= past < timedelta(hours=1):
            seconds = int(past.total_seconds())
            said = count(seconds, "second", "seconds") if seconds < 60 else count(seconds // 60, "minute", "minutes")
            return self._time(at, f"{said} ago" if seconds else "just now")
        return self.clock(at)

    def day(self, day: datetime) -> str:
        """A day on a chart's axis: 24 Nov."""
        return f"{day.day} {_MONTHS[day.month - 1][:3]}"

    @staticmethod
    def _time(at: datetime, said: str) -> Markup:
        return Markup('<time datetime="{}">{}</time>').format(f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", said)


def count(number: int, one: str, many: str) -> str:
    """A number with its noun: 1 story, 1,284 stories."""
    return f"{number:,} {one if number == 1 else many}"


def span(seconds: float | None) -> str:
    """A duration: 40 seconds, 4 min 10 s, 3 hours, 2 days."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole < 600 and whole % 60 else "")
    return f"{whole / 3600:.0f} h" if whole < 2 * 86400 else f"{whole / 86400:.0f} days"


def few(number: float) -> str:
    """A number that need not be exact: 3.1, 12, 1,284."""
    return f"{number:.1f}".removesuffix(".0") if number < 10 else f"{number:,.0f}"

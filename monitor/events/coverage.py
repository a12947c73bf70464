"""Who tells of an event, since when, and whose story leads it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Report:
    """A story of an event, as its coverage needs it."""

    story_id: int
    source: str
    title: str
    url: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Coverage:
    """An event's stories: `outlets` has the first report of each source, the earliest first.

    `lead` is the earliest story of the best-regarded source; `first` and `latest` are the times of the earliest and the
    newest story.
    """

    lead: Report
    outlets: tuple[Report, ...]
    first: datetime
    latest: datetime
    stories: int


def coverage(reports: Iterable[Report], weights: Mapping[str, float]) -> Coverage:
    """Return the coverage of an event's stories, of which there is one at least.

    `weights` say how well sources are regarded; one that is not in it has 1.
    """
    ordered = sorted(reports, key=lambda report: (report.at, report.story_id))
    outlets: dict[str, Report] = {}
    for report in ordered:
        outlets.setdefault(report.source, report)
    lead = min(outlets.values(), key=lambda r: (-weights.get(r.source, 1.0), r.at, r.story_id))
    return Coverage(lead, tuple(outlets.values()), ordered[0].at, ordered[-1].at, len(ordered))

"""Which event a story belongs to, and why. Pure: what it knows of earlier stories is handed in and given back as rows.

`sketch` makes of a story the terms it is compared by, `Grouping` decides by them.
"""

from monitor.events.coverage import Coverage, Report, coverage
from monitor.events.grouping import WINDOW, Decision, Grouping, Refusal, Row
from monitor.events.headlines import headline_key, unlike
from monitor.events.news import Account, News, account, from_json, news_since
from monitor.events.sketch import Sketch, sketch
from monitor.events.stream import Placed, Stream

__all__ = [
    "WINDOW",
    "Account",
    "Coverage",
    "Decision",
    "Grouping",
    "News",
    "Placed",
    "Refusal",
    "Report",
    "Row",
    "Sketch",
    "Stream",
    "account",
    "coverage",
    "from_json",
    "headline_key",
    "news_since",
    "sketch",
    "unlike",
]

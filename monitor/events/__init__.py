"""Which event a story belongs to, and why. Pure: what it knows of earlier stories is handed in and given back as rows.

`sketch` makes of a story the terms it is compared by, `Grouping` decides by them. `headlines` is the older way, by
equal headlines alone (docs/decisions/0004).
"""

from monitor.events.grouping import WINDOW, Decision, Grouping, Refusal, Row
from monitor.events.headlines import Joined, Member, headline_key, join, unlike
from monitor.events.sketch import Sketch, sketch

__all__ = [
    "WINDOW",
    "Decision",
    "Grouping",
    "Joined",
    "Member",
    "Refusal",
    "Row",
    "Sketch",
    "headline_key",
    "join",
    "sketch",
    "unlike",
]

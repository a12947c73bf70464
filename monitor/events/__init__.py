"""Which event a story belongs to, and why. Pure: what it knows of earlier stories is handed in and given back as rows.

`sketch` makes of a story the terms it is compared by, `Grouping` decides by them.
"""

from monitor.events.grouping import WINDOW, Decision, Grouping, Refusal, Row
from monitor.events.headlines import headline_key, unlike
from monitor.events.sketch import Sketch, sketch
from monitor.events.stream import Placed, Stream

__all__ = [
    "WINDOW",
    "Decision",
    "Grouping",
    "Placed",
    "Refusal",
    "Row",
    "Sketch",
    "Stream",
    "headline_key",
    "sketch",
    "unlike",
]

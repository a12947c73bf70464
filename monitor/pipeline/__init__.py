"""The ticks. Each stage takes values and returns values; nothing calls back up.

    poll     claim due feeds → fetch → parse → new stories → match → events → decide ┐ one transaction:
    read     due pages of new stories → robots.txt → fetch → extract → match again   ┤
    digest   due slot → matches of the window → digest → pending delivery            ├ stories, sightings, matches,
    deliver  claim due deliveries → render → send → finish(sent | retry | gave up)   ┘ decisions, deliveries, feed state
    volume   days of topics → far more than usual, or nothing for long → pending delivery
    prune    old stories that nothing refers to
    audit    once a day: every match has its decisions, every decision what it promises

It joins the parts in the right order and decides nothing: whether a feed is due is `timing`'s word, what matches is
`rules`', who is told is `dispatch`'s. No transaction is open while the network is waited for.
"""

from monitor.pipeline.audit import LOOKS_BACK, audit, audit_due, record_audit
from monitor.pipeline.deliver import Delivered, deliver_due, notify_operators
from monitor.pipeline.digest import digest_due, make_digest, schedule_slots, with_usual
from monitor.pipeline.health import Watch
from monitor.pipeline.hubs import ask_hubs
from monitor.pipeline.ingest import Incoming, Ingested, content_hash, ingest, match_stories
from monitor.pipeline.poll import Polled, poll, poll_due, take_push
from monitor.pipeline.prune import prune
from monitor.pipeline.read import ReadPage, read_all, read_due
from monitor.pipeline.volume import volume_due

__all__ = [
    "LOOKS_BACK",
    "Delivered",
    "Incoming",
    "Ingested",
    "Polled",
    "ReadPage",
    "Watch",
    "ask_hubs",
    "audit",
    "audit_due",
    "content_hash",
    "deliver_due",
    "digest_due",
    "ingest",
    "make_digest",
    "match_stories",
    "notify_operators",
    "poll",
    "poll_due",
    "prune",
    "read_all",
    "read_due",
    "record_audit",
    "schedule_slots",
    "take_push",
    "volume_due",
    "with_usual",
]

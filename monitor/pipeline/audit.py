"""The audit: does every match have its decisions, and every decision what it promises? Once a day, or when asked."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from monitor.app import App
from monitor.dispatch import Notice
from monitor.models import Audit
from monitor.pipeline.deliver import notify_operators

log = logging.getLogger(__name__)

EVERY = timedelta(days=1)
LOOKS_BACK = timedelta(days=7)
KEPT = 100  # findings that are recorded
SHOWN = 20  # findings that the operators are sent


def audit(app: App, since: datetime, now: datetime) -> Audit:
    """Return what the audit of all since then finds, with every finding. Reads the database, and writes nothing."""
    digests = {
        one.name: frozenset(topic for s in one.subscriptions if s.digest for topic in s.topics)
        for one in app.config.subscribers.values()
    }
    found = app.store.audits.check(since, digests)
    return Audit(
        at=now,
        since=since,
        matches=found.matches,
        decisions=found.decisions,
        deliveries=found.deliveries,
        wrong=len(found.findings),
        findings=found.findings,
    )


def audit_due(app: App, now: datetime) -> bool:
    """Whether the last audit was a day ago, or lies in the future of a clock that went back."""
    last = app.store.audits.latest()
    return last is None or not timedelta(0) <= now - last.at < EVERY


def record_audit(app: App, found: Audit) -> None:
    """Record a result, and tell the operators of what is wrong."""
    findings = found.findings
    app.store.audits.record(
        Audit.model_validate({**found.model_dump(exclude={"id"}), "findings": findings[:KEPT]}),
    )
    if not findings:
        log.info("audit: %d matches, %d decisions and %d messages are in order", *_counts(found))
        return
    log.error("audit: %d things are wrong, the first: %s", found.wrong, findings[0])
    more = found.wrong - SHOWN
    lines = (
        "The daily audit looks whether every match of the last days has its decisions, and every decision its message. "
        "What it found should not be: please report it.",
        *findings[:SHOWN],
        *([f"And {more} more: `monitor audit` shows all."] if more > 0 else []),
    )
    title = f"The audit found {found.wrong} thing{'' if found.wrong == 1 else 's'} wrong"
    notify_operators(app, f"audit:{found.at.isoformat()}", Notice(title, lines), found.at)


def _counts(found: Audit) -> tuple[int, int, int]:
    return found.matches, found.decisions, found.deliveries

"""Servers, webhooks and chats that take nothing for long, and that are back: the operators hear of each once."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from monitor.app import App
from monitor.config import Config
from monitor.dispatch import Notice
from monitor.endpoints import OPEN_AFTER, endpoint_of
from monitor.models import Delivery, Endpoint
from monitor.pipeline.outgoing import notices
from monitor.text import series

log = logging.getLogger(__name__)

LONG = timedelta(minutes=10)  # that one takes nothing before it is told; a restart or an upgrade takes less
STEADY = timedelta(
    minutes=5
)  # that one has answered before it is told to be back: one that comes and goes tells nothing
LINES = 10  # endpoints of one message


def tell_of_outages(app: App, now: datetime) -> None:
    """Tell the operators of endpoints that are down for long, and of those that are back. Uses the database.

    What goes down or comes back together (our own network does that) is one message. It does not go by an endpoint that
    fails, unless the operators have no other.
    """
    noted = app.store.endpoints.told_or_failing()
    failing = {row.key for row in noted if row.failures}
    down = [row for row in noted if row.told_at is None and _lasts(row, now, LONG / 2)]
    if any(_lasts(row, now, LONG) for row in down):
        _tell(app, f"down:{now.isoformat()}", down, failing, now)
    back = [row for row in noted if row.told_at is not None and row.back_at is not None]
    if any(row.back_at is not None and now - row.back_at >= STEADY for row in back):
        _tell(app, f"up:{now.isoformat()}", back, failing, now)


def forget_undeclared(app: App) -> None:
    """Forget the endpoints that no channel leads to any more: nothing would ever say that they are back. Uses the
    database."""
    app.store.endpoints.keep(channels_of(app.config).keys())


def channels_of(config: Config) -> Mapping[str, Sequence[str]]:
    """Return the channels that lead to each endpoint: "ruth by mail", "the operators", "escalations by pager"."""
    found: dict[str, list[str]] = defaultdict(list)
    for subscriber in config.subscribers.values():
        for name, url in subscriber.channels.items():
            found[endpoint_of(url.get_secret_value())].append(f"{subscriber.name} by {name}")
    for operators in config.settings.operators:
        found[endpoint_of(operators.get_secret_value())].append("the operators")
    for topic in config.topics:
        for name, address in config.escalation(topic).items():
            found[endpoint_of(address)].append(f"escalations by {name}")
    return {key: tuple(dict.fromkeys(names)) for key, names in found.items()}


def _lasts(row: Endpoint, now: datetime, long: timedelta) -> bool:
    """Whether an endpoint has taken nothing for so long, and is left alone."""
    resting = row.failures >= OPEN_AFTER or (row.open_until is not None and row.open_until > now)
    return bool(row.failures) and resting and row.failing_since is not None and now - row.failing_since >= long


def _tell(app: App, key: str, rows: Sequence[Endpoint], failing: Collection[str], now: datetime) -> None:
    is_down = bool(rows[0].failures)
    channels = channels_of(app.config)
    lines = [_line(row, channels.get(row.key, ())) for row in rows[:LINES]]
    if len(rows) > LINES:
        lines.append(f"And {len(rows) - LINES} more: `monitor status` shows all that fail.")
    one = rows[0].key if len(rows) == 1 else f"{len(rows)} servers or services"
    if is_down:
        title = f"Nothing goes by {one}"
        last = (
            "Messages for it wait, and are tried again. `monitor status` shows how it stands; you hear when it is back."
        )
    else:
        title = f"Messages go by {one} again"
        last = "What waited has been made due; `monitor deliveries --state dead` shows what was given up meanwhile."
    made = notices(app, f"endpoints-{key}", Notice(title, (*lines, last)), now)
    if app.store.endpoints.tell([row.key for row in rows], now if is_down else None, _elsewhere(made, failing)):
        log.warning("%s: %s", title, ", ".join(row.key for row in rows))


def _elsewhere(made: Sequence[Delivery], failing: Collection[str]) -> Sequence[Delivery]:
    return [row for row in made if row.endpoint not in failing] or made


def _line(row: Endpoint, channels: Sequence[str]) -> str:
    whose = f" ({series(channels)})" if channels else ""
    if row.failures:
        return f"{row.key}{whose}: nothing taken since {row.failing_since:%Y-%m-%d %H:%M} UTC, last: {row.error}."
    return f"{row.key}{whose}: answers since {row.back_at:%Y-%m-%d %H:%M} UTC."

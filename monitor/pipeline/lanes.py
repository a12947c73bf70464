"""Which feeds wait for which: a document or a server that takes long keeps only its like waiting.

Reading: what is known to be quick has a lane of workers, of which feeds that are new may take all but one; a feed whose
last document took long, or was stopped, is suspect and read by a worker apart. Fetching: feeds that are new, failing or
suspect hold at most half of the places.
"""

from __future__ import annotations

import contextlib
import logging

from monitor.app import App
from monitor.errors import WorkerError
from monitor.fetch import Fetched
from monitor.models import FeedState
from monitor.parse import ParsedFeed, parse_feed
from monitor.store import Coming
from monitor.workers import timed

log = logging.getLogger(__name__)

QUICK = 0.05  # seconds of processor time up to which a document is read together with others
SLOW = 1.0  # seconds of processor time from which on a feed is suspect; a real document takes 0.02, a huge one 1
SMALL = 256 * 1024  # bytes up to which it is
QUICK_DEADLINE = 2.0  # seconds in the lane of the quick
PARSE_DEADLINE = 10.0  # seconds; hostile documents take minutes (notes on security, 3.1)


def is_suspect(state: FeedState | Coming) -> bool:
    """Whether a feed's last document took long to be read."""
    return state.reading > SLOW


def is_doubtful(state: FeedState | Coming) -> bool:
    """Whether a feed's next poll may well hold its place for long: it is new, failing or suspect."""
    return state.succeeded_at is None or state.failures > 0 or is_suspect(state)


async def read_feed(app: App, state: FeedState, answer: Fetched, seen: str = "") -> tuple[ParsedFeed, float]:
    """Return what a document says, and the seconds that its reading took. Raises WorkerError.

    `seen` are the items of the feed's last document, of which none is parsed again.
    """
    document = (timed, parse_feed, answer.body, answer.url, answer.content_type, seen)
    if not is_suspect(state):
        async with app.newcomers if state.succeeded_at is None else contextlib.nullcontext():
            try:
                quick = state.succeeded_at is not None and state.reading <= QUICK and len(answer.body) <= SMALL
                return await app.workers.run(*document, timeout=QUICK_DEADLINE, quick=quick)
            except WorkerError as error:
                log.warning("%s: its document is read apart from the others from now on: %s", state.feed, error)
        # On record before it is tried at length: a crash must not let it in among the quick again.
        await app.db(app.store.feeds.update, state.feed, url=state.url, reading=PARSE_DEADLINE)
    return await app.suspect_workers.run(*document, timeout=PARSE_DEADLINE)

"""How much a message costs the outbox: `python -m tests.benchmarks.outbox [MESSAGES]`, on SQLite and PostgreSQL.

Messages wait for one mail server and for as many readers; they are claimed as four senders do, put on the wire and
finished one by one. Printed are processor time and wall time a message: for the first ones, with all the others waiting
behind them, and for the last ones.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from monitor.store import Store
from tests import make
from tests.postgres import Missing, address, postgres_server

SENDERS = 4
PART = 500  # messages at either end that are measured
NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def measure(name: str, url: str, folder: Path, messages: int) -> None:
    store = Store(url, folder)
    store.migrate()
    with store.write() as session:
        for number in range(messages):
            row = make.delivery(f"m{number}", subscriber=f"r{number}", now=NOW)
            row.endpoint, row.recipient = "mail smtp.example:25", f"r{number}"
            session.add(row)
    first = _send(store, PART)
    if messages > 2 * PART:
        with store.write() as session:
            session.connection().exec_driver_sql(
                f"UPDATE delivery SET state = 'sent' WHERE state = 'pending' AND id <= {messages - PART}"
            )
    last = _send(store, PART)
    store.close()
    for part, (cpu, wall) in (("first", first), ("last", last)):
        print(f"{name:10} {messages:7,} waiting, the {part} {PART}: {cpu:5.2f} ms CPU, {wall:6.2f} ms wall a message")


def _send(store: Store, count: int) -> tuple[float, float]:
    cpu, wall, sent = time.process_time(), time.perf_counter(), 0
    claimed = store.outbox.claim(NOW, 60, SENDERS)
    while claimed and sent < count:
        row = claimed.pop(0)
        assert row.id is not None
        store.outbox.mark_wire(row.id, row.fence, NOW, 60)
        store.outbox.finish(row.id, row.fence, NOW, "250", "", "queued")
        sent += 1
        claimed += store.outbox.claim(NOW, 60, SENDERS - len(claimed))
    for row in claimed:
        store.outbox.put_back(row.id or 0, row.fence, NOW, row.expires_at)
    return 1000 * (time.process_time() - cpu) / sent, 1000 * (time.perf_counter() - wall) / sent


def main(arguments: list[str]) -> None:
    messages = int(arguments[0]) if arguments else 10_000
    with tempfile.TemporaryDirectory() as folder:
        measure("sqlite", "sqlite:///outbox.db", Path(folder), messages)
        with suppress(Missing), postgres_server() as port:
            measure("postgresql", address(port), Path(folder), messages)


if __name__ == "__main__":
    main(sys.argv[1:])

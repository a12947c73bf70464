"""The manners of polling, whole polls and feed health once more, on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.store import Store
from tests import make

# All tests of these modules, with their fixtures, are this module's too.
from tests.test_health import *  # noqa: F403
from tests.test_polling import *  # noqa: F403


@pytest.fixture(autouse=True)
def on_postgres(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(postgres_url, tmp_path)
    store.migrate()
    store.close()
    monkeypatch.setitem(make.DATABASE, "MONITOR_DATABASE_URL", postgres_url)

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor import daemon as module
from monitor.app import open_app
from monitor.checking import load
from monitor.daemon import Daemon
from monitor.errors import MonitorError
from tests import make


async def test_files_are_read_when_they_are_whole_and_a_failed_reload_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make.write_config(tmp_path / "config")
    app = open_app(make.config(folder), tmp_path / "data")
    daemon = Daemon(app, folder, {})
    topics = folder / "topics.yaml"

    def broken(*_: Any) -> None:
        raise MonitorError("the disk is full")

    try:
        topics.write_text(make.TOPICS + "  grain:\n    any: [grain]\n", encoding="utf-8")
        await daemon._reload()
        assert "grain" not in app.config.topics  # it may still be being written
        with monkeypatch.context() as patch:
            patch.setattr(module, "keep", broken)
            with pytest.raises(MonitorError):
                await daemon._reload()
        assert not (tmp_path / "data" / "last-good").exists()
        await daemon._reload()
        assert "grain" in app.config.topics
        assert "grain" in (tmp_path / "data" / "last-good" / "topics.yaml").read_text()
    finally:
        await app.close()


async def test_a_reload_takes_over_the_topics_that_did_not_change(tmp_path: Path) -> None:
    folder = make.write_config(tmp_path / "config")
    loaded = load(folder, {})
    app = open_app(loaded.config, tmp_path / "data", rules=loaded.rules)
    daemon = Daemon(app, folder, {})
    try:
        assert app.rules is loaded.rules
        (folder / "topics.yaml").write_text(f"# moved\n{make.TOPICS}  grain:\n    any: [grain]\n", encoding="utf-8")
        daemon._ask_reload()
        await daemon._reload()
        assert "grain" in app.rules
        for name in loaded.config.topics:
            assert app.rules.compiled(name) is loaded.rules.compiled(name)
    finally:
        await app.close()


async def test_the_daemon_looks_at_the_health_of_feeds(tmp_path: Path) -> None:
    folder = make.write_config(tmp_path / "config", monitor=make.MONITOR + 'operators: ["json://127.0.0.1:9/"]\n')
    app = open_app(make.config(tmp_path / "config", monitor=(folder / "monitor.yaml").read_text()), tmp_path / "data")
    try:
        app.store.feeds.ensure({"wire": "https://feeds.example/"}, app.now())
        app.store.feeds.update("wire", polled_at=app.now(), failures=3, status=404, error="nothing there")
        daemon = Daemon(app, folder, {}, {"poll"})
        (job,) = [job for job in daemon._scheduler().get_jobs() if job.id == "health"]
        _, tick = job.args
        await tick()
        assert "Feed wire is broken" in {row.subject for row in app.store.outbox.latest(("pending",), 10)}
    finally:
        await app.close()


async def test_the_daemon_audits_once_a_day(tmp_path: Path) -> None:
    folder = make.write_config(tmp_path / "config")
    now = [make.NOW]
    app = open_app(make.config(tmp_path / "config"), tmp_path / "data", lambda: now[0])
    try:
        (job,) = [job for job in Daemon(app, folder, {})._scheduler().get_jobs() if job.id == "audit"]
        _, tick = job.args
        for hours, latest in ((0, 0), (1, 0), (24, 24)):
            now[0] = make.NOW + timedelta(hours=hours)
            await tick()
            found = app.store.audits.latest()
            assert found is not None
            assert (found.at, found.wrong) == (make.NOW + timedelta(hours=latest), 0)
    finally:
        await app.close()


async def test_a_stop_waits_for_what_a_tick_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # A claim that was cut off kept its messages from the next process until the lease was over, and left a trace.
    folder = make.write_config(tmp_path / "config")
    app = open_app(make.config(folder), tmp_path / "data")
    begun, ended = asyncio.Event(), 0

    async def claims(_app: Any) -> list[asyncio.Task[Any]]:
        nonlocal ended
        begun.set()
        await asyncio.sleep(0.5)
        ended += 1
        return []

    monkeypatch.setattr(module, "deliver_due", claims)
    daemon = Daemon(app, folder, {}, {"deliver"})
    try:
        running = asyncio.create_task(daemon.run())
        app.wake_delivery.set()
        await begun.wait()
        await asyncio.sleep(0.1)  # the scheduler's own has begun as well
        daemon.stop()
        await running
        assert ended == 2
        app.wake_delivery.set()
        await asyncio.sleep(0.1)
        assert ended == 2
        assert not [record for record in caplog.records if record.exc_info]
    finally:
        await app.close()


async def test_a_tick_that_takes_too_long_is_cut_off_by_a_stop_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make.write_config(tmp_path / "config")
    app = open_app(make.config(folder), tmp_path / "data")
    begun = asyncio.Event()

    async def hangs(_app: Any) -> list[asyncio.Task[Any]]:
        begun.set()
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr(module, "deliver_due", hangs)
    monkeypatch.setattr(module, "STOP_GRACE", 0.3)
    daemon = Daemon(app, folder, {}, {"deliver"})
    try:
        running = asyncio.create_task(daemon.run())
        await begun.wait()
        daemon.stop()
        await asyncio.wait_for(running, 5)
        await asyncio.sleep(0.1)
        assert "deliver was cut off by the stop" in caplog.text
        assert not [record for record in caplog.records if record.exc_info]
    finally:
        await app.close()

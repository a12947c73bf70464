"""The daemon as a process, and a hub that pushes to it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlmodel import select

from monitor.models import Story
from monitor.store import Store
from tests import make
from tests.acceptance.daemon import DaemonProcess, database, running, wait_for
from tests.fakes import Answer, FakeHub, FeedServer, free_port


def titles(store: Store) -> set[str]:
    with store.read() as session:
        return {story.title for story in session.exec(select(Story))}


@pytest.mark.timeout(120)
def test_a_hub_pushes_to_the_daemon_and_goes_on_after_kill_9(tmp_path: Path) -> None:
    port = free_port()
    web = f"web: {{port: {port}}}\npublic_url: http://127.0.0.1:{port}"
    with FeedServer() as server, FakeHub() as hub:
        url = server.route("/feed.xml", Answer(make.rss(("1", "Old news")), headers={"Link": f"<{hub.url}>; rel=hub"}))
        config = make.write_config(
            tmp_path / "config",
            monitor=make.MONITOR.replace("web: off", web),
            feeds=f"feeds:\n  wire: {{url: '{url}', every: 1h}}\n",
        )
        with running(DaemonProcess(config, tmp_path / "data")) as process:
            wait_for(lambda: hub.topics, 40, "the subscription")
            assert asyncio.run(hub.push(make.rss(("2", "Sanctions agreed")))) == 202
            with database(process.data) as store:
                wait_for(lambda: titles(store) == {"Old news", "Sanctions agreed"}, 20, "the first push")
            process.kill()
            process.start()
            wait_for(lambda: process.log.count("web pages at") == 2, 20, "the second start")
            wait_for(lambda: asyncio.run(pushed(hub)), 20, "the web server")
            with database(process.data) as store:
                wait_for(lambda: "Sanctions lifted" in titles(store), 20, "the second push")
            assert process.stop() == 0
            assert server.count() == 1
            assert hub.modes == ["subscribe"]
            assert "Traceback" not in process.log


async def pushed(hub: FakeHub) -> bool:
    try:
        return await hub.push(make.rss(("3", "Sanctions lifted"))) == 202
    except OSError:  # it does not listen yet
        return False

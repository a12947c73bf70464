"""What comes later about an event goes into the thread of its first alert, where a Slack bot writes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from monitor.app import App, open_app
from monitor.dispatch import Alert, StoryView, TopicRef
from monitor.pipeline.deliver import drain
from monitor.pipeline.outgoing import alert_delivery
from tests import make
from tests.make import NOW
from tests.servers import Answer, Asked, WebServer

SUBSCRIBERS = """
subscribers:
  ruth: {channels: {bot: "slack://xoxb-1234-1234-abc/#desk", other: "slack://xoxb-1234-1234-abc/#other"}}
"""


def put(app: App, key: str, event: str, channel: str = "bot") -> None:
    story = StoryView(1, 1, f"About {key}", "https://wire.example/1", "Wire", "Snippet.", "en", NOW, event_key=event)
    alert = Alert("ruth", channel, (TopicRef("sanctions", "Sanctions", "normal"),), story)
    app.store.outbox.add(alert_delivery(app, alert, key, None, app.now()))


async def send_in_turn(app: App, *alerts: tuple[str, ...]) -> None:
    for alert in alerts:
        put(app, *alert)
        await drain(app)
    await app.close()


def test_an_update_goes_into_the_thread_of_the_first_alert_about_its_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_: Asked) -> Answer:
        return 200, {}, b'{"ok": true, "ts": "%d.0001"}' % len(slack.asked)

    slack = WebServer(answer)
    monkeypatch.setattr("monitor.send.slack.NewsSlack.api_url", f"http://127.0.0.1:{slack.port}/api/{{}}")
    app = open_app(make.config(tmp_path / "config", subscribers=SUBSCRIBERS), tmp_path / "data")
    try:
        told = [
            ("first", "kolva"),
            ("elsewhere", "delta"),
            ("update", "kolva"),
            ("again", "kolva"),
            ("x", "kolva", "other"),
        ]
        asyncio.run(send_in_turn(app, *told))
        assert [asked.fields.get("thread_ts") for asked in slack.asked] == [None, None, "1.0001", "1.0001", None]
    finally:
        slack.close()

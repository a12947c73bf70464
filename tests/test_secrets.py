"""Planted secrets of every kind of channel: not in the database, the logs at their most talkative, or on a screen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor.app import open_app
from monitor.cli import cli
from monitor.config import Config, load_config
from monitor.dispatch import Alert, StoryView, TopicRef
from monitor.pipeline.deliver import Delivered, drain
from monitor.pipeline.outgoing import alert_delivery
from tests import make
from tests.make import NOW
from tests.servers import Answer, Asked, MailServer, WebServer
from tests.tls import Authority, lead_to_loopback

NAMES = ("discord.com", "api.telegram.org", "prod-1.westeurope.logic.azure.com", "hooks.slack.com", "slack.com")
CHANNELS = {
    "mail": "mailto://news:s3cretmailword@127.0.0.1:{mail}?from=news@corvid.example&to=ruth@corvid.example",
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/s3cretslackhooktoken",
    "bot": "slack://xoxb-1234-1234-s3cretslackbot/#desk",
    "discord": "discord://417429632418316298/s3cretdiscordtokens3cretdiscordtoken",
    "telegram": "tgram://123456789:s3cret_telegram_token_AAAAAAAAAAAAA/-1001234",
    "teams": "workflows://prod-1.westeurope.logic.azure.com:443/s3cretworkflow/s3cretsignature",
    "ntfy": "ntfy://s3cretntfytoken@127.0.0.1:{port}/desk?auth=token",
    "hook": "json://127.0.0.1:{port}/s3cretpath?+Authorization=Bearer%20s3cretbearer",
    "mattermost": "mmost://127.0.0.1:{port}/s3cretmattermosthook",
    "matrix": "matrix://news:s3cretmatrixword@127.0.0.1:{port}/!abc:127.0.0.1",
}


def echo(asked: Asked) -> Answer:
    """Refuse, telling all that came."""
    return 500, {"X-Asked": asked.path}, f"{asked.path} {asked.headers} {asked.body!r}".encode()


@pytest.fixture
def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    (tmp_path / "tls").mkdir()
    authority = Authority(tmp_path / "tls")
    tls, web = WebServer(echo, authority.server_context(*NAMES)), WebServer(echo)
    lead_to_loopback(monkeypatch, NAMES, tls.port)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.trust))
    mail = MailServer()  # which takes no login
    mail.start()
    yield {"port": web.port, "mail": mail.port}
    mail.stop()
    tls.close()
    web.close()
    assert {asked.host for asked in tls.asked} == set(NAMES)  # each was really spoken to
    assert len(web.asked) >= 4


async def send_all(config: Config, data: Path) -> list[Delivered]:
    app = open_app(config, data)
    story = StoryView(1, 1, "A title", "https://wire.example/1", "Wire", "Snippet.", "en", NOW)
    for name in CHANNELS:
        alert = Alert("ruth", name, (TopicRef("sanctions", "Sanctions", "normal"),), story)
        app.store.outbox.add(alert_delivery(app, alert, "k", None, app.now()))
    done = await drain(app)
    await app.close()
    return done


def test_no_secret_of_a_channel_is_kept_logged_or_shown(
    ports: dict[str, int], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    channels = "\n".join(f'      {name}: "{url.format(**ports)}"' for name, url in CHANNELS.items())
    folder = make.write_config(tmp_path / "config", subscribers=f"subscribers:\n  ruth:\n    channels:\n{channels}\n")
    data = tmp_path / "data"
    config = load_config(folder, {})
    done = asyncio.run(send_all(config, data))
    assert {one.delivery.channel for one in done} == set(CHANNELS)
    assert {one.outcome.kind for one in done} <= {"retry", "unknown"}

    assert "s3cret" not in caplog.text
    kept = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert b"A title" in kept
    assert b"s3cret" not in kept
    where = ("--config", str(folder), "--data", str(data))
    for command in (("deliveries",), ("deliveries", "--json"), ("check",), ("status",), ("export", "deliveries")):
        shown = CliRunner().invoke(cli, [*command, *where])
        assert shown.exit_code in (0, 1), shown.exception
        assert "s3cret" not in shown.output, command
    monkeypatch.setattr("monitor.doctor.DNS_PATIENCE", 0.2)
    shown = CliRunner().invoke(cli, ["doctor", "--json", *where])
    assert "ruth/mail" in shown.output
    assert "s3cret" not in shown.output

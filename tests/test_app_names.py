"""How an installation names itself to mail programs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from monitor.app import open_app
from monitor.dispatch import Alert, StoryView, TopicRef
from monitor.pipeline.outgoing import alert_delivery
from tests import make
from tests.make import NOW


def test_a_sender_of_an_international_domain_gives_names_that_every_server_takes(tmp_path: Path) -> None:
    config = make.config(tmp_path / "config", monitor="mail_from: Büro <news@Bücher.example>\n")
    app = open_app(config, tmp_path / "data")
    story = StoryView(1, 1, "A title", "https://wire.example/1", "Wire", "", "en", NOW, event_key="k")
    alert = Alert("ruth", "mail", (TopicRef("sanctions", "Sanctions", "normal"),), story)
    row = alert_delivery(app, alert, "k", NOW + timedelta(hours=1), NOW)
    assert row.message_id.endswith("@xn--bcher-kva.example")
    mail = app.renderer.mail(alert, app.reader(config.subscribers["ruth"]), app.site, app.links("ruth", (), NOW), NOW)
    assert dict(mail.headers)["List-Id"] == "Sanctions <sanctions.xn--bcher-kva.example>"
    sent = app.sender.mail("mailto://127.0.0.1:25?to=a@b.example", mail, row.message_id, NOW).as_bytes()
    assert b"From: =?utf-8?q?B=C3=BCro?= <news@xn--bcher-kva.example>\r\n" in sent
    assert b"<news@xn--bcher-kva.example>\r\n" in sent
    assert sent.isascii()
    app.store.close()

from __future__ import annotations

import email
from collections.abc import Iterator
from email.policy import default
from pathlib import Path

import pytest

from monitor.app import open_app
from monitor.dispatch import Notice
from monitor.pipeline.deliver import drain, notify_operators
from tests import make
from tests.servers import MailServer


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


async def test_operators_get_a_notice_by_mail_without_links_to_turn_it_off(tmp_path: Path, mail: MailServer) -> None:
    monitor = make.MONITOR + f'operators: ["mailto://127.0.0.1:{mail.port}?to=ops@corvid.example"]\n'
    app = open_app(make.config(tmp_path / "config", monitor=monitor), tmp_path / "data")
    notice = Notice("Feed wire cannot be read", ("It refused the connection.", "The other feeds go on."))
    try:
        await app.db(notify_operators, app, "feed:wire", notice, app.now())
        await app.db(notify_operators, app, "feed:wire", notice, app.now())
        sent = await drain(app)
    finally:
        await app.close()
    assert [one.outcome.kind for one in sent] == ["sent"]
    (received,) = mail.mails
    message = email.message_from_bytes(received.content, policy=default)
    assert received.rcpt_tos == ["ops@corvid.example"]
    assert "Feed wire cannot be read" in message["Subject"]
    assert message["List-Unsubscribe"] is None
    text = message.get_body(("plain",))
    html = message.get_body(("html",))
    assert text is not None
    assert html is not None
    for part in (text, html):
        assert "The other feeds go on." in part.get_content()
        assert "/u/" not in part.get_content()

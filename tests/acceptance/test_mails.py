"""Mails to many readers of one server with STARTTLS: by a few connections that are kept, and one TLS context."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from monitor.pipeline.deliver import drain
from tests import make
from tests.pipe import START, Pipe, item
from tests.test_send_smtp import by_starttls
from tests.tls import Authority

READERS = 60


async def test_many_readers_of_one_server_share_its_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trust))
    made: list[ssl.SSLContext] = []
    create = ssl.create_default_context

    def counted() -> ssl.SSLContext:
        made.append(create())
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", counted)
    with by_starttls(authority) as post:
        lines = "".join(
            f'  r{n}: {{channels: {{mail: "mailtos://127.0.0.1:{post.port}?to=r{n}@corvid.example"}}, '
            "subscriptions: [{topics: all, alert: {via: [mail]}}]}\n"
            for n in range(READERS)
        )
        pipe = Pipe(tmp_path / "run", START, subscribers=f"subscribers:\n{lines}", monitor=make.MONITOR)
        pipe.put("wire", item("1", "Sanctions agreed"), item("2", "Troops at the border"))
        try:
            await drain(pipe.app)
            assert len(post.mails) == 2 * READERS
            assert len({mail.rcpt_tos[0] for mail in post.mails}) == READERS
            assert len(post.sessions) <= 4  # as many as the server gets at once
            assert len(made) == 1
        finally:
            await pipe.app.close()

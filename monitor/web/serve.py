"""Serves the web pages within the daemon's loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from ipaddress import ip_network
from urllib.parse import urlsplit

import uvicorn
from anyio import to_thread

from monitor.app import App
from monitor.web import Part, create_app
from monitor.web.backend import WebBackend
from monitor.web.choosing import Choosing
from monitor.web.desk import Desk
from monitor.web.guard import Proxy
from monitor.web.hubs import Inbox, add_callbacks
from monitor.web.joining import Joining
from monitor.web.machines import Machines
from monitor.web.people import People

log = logging.getLogger(__name__)


PAGES_AT_ONCE = 8  # each takes its share of one processor from the polling


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the daemon."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def parts(app: App) -> tuple[Part, ...]:
    """Return what a running program's application is made of, besides health and signed links."""
    desk = Desk(app)
    return (Machines(app).add, desk.add, People(app, desk).add, Choosing(app).add, Joining(app).add)


async def serve(app: App) -> None:
    """Serve the pages where `web` says, until cancelled. A port that is taken is logged, and the rest goes on."""
    settings = app.config.settings.web
    if settings is None:
        return
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listener:
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            log.error(
                "the web pages cannot be served at %s:%d (%s): links in mails do not work until `web.port` in "
                "monitor.yaml names a free port and the program is started again. Everything else goes on.",
                settings.host,
                settings.port,
                error.strerror,
            )
            return
        token = settings.token.get_secret_value() if settings.token is not None else None
        names = {urlsplit(app.config.settings.public_url).hostname or "", settings.host} - {"", "0.0.0.0", "::"}  # noqa: S104 - names to leave out, not to bind
        proxy = (
            Proxy(settings.user_header, [ip_network(one) for one in settings.proxies]) if settings.user_header else None
        )
        pages = create_app(
            WebBackend(app),
            site=app.config.settings.site,
            token=token,
            host_names=sorted(names),
            secret=app.secret,
            proxy=proxy,
            https=app.config.settings.public_url.startswith("https:"),
            parts=parts(app),
            opened=Machines(app).opened,
        )
        inbox = Inbox(app)
        add_callbacks(pages, inbox)
        # No access log: the address of a signed link is the key to it.
        config = uvicorn.Config(
            pages,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # the gate goes by who really asks
            lifespan="off",
            timeout_graceful_shutdown=3,
        )
        server = _Server(config)
        to_thread.current_default_thread_limiter().total_tokens = PAGES_AT_ONCE
        log.info("web pages at http://%s:%d", settings.host, settings.port)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        taking = asyncio.create_task(inbox.work())
        preparing = asyncio.create_task(asyncio.to_thread(pages.state.prepare))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving
            raise
        finally:
            taking.cancel()
            preparing.cancel()

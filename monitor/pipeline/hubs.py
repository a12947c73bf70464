"""WebSub: hubs are asked to push what they announce, and polling stays behind it (docs/reference/polling.md)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from monitor.app import App, feeds_to_poll
from monitor.config import Config
from monitor.fetch import Fetched, is_public
from monitor.hubs import BROKEN_AGAIN, CALLBACKS, CONFIRM_WITHIN, LEASE, TRY_AGAIN, granted, renew_after, topic
from monitor.models import HubLease
from monitor.parse import ParsedFeed
from monitor.text import clean
from monitor.urls import host

log = logging.getLogger(__name__)

ASKED_AT_ONCE = 10
# Names that lead nowhere from outside (RFC 6761, 6762, 8375, and what home routers make up).
_INSIDE = ("localhost", "local", "internal", "intranet", "lan", "home", "home.arpa", "test", "invalid", "example")


def is_reachable(public_url: str, allow_private: Sequence[str] = ()) -> bool:
    """Whether a hub may reach the web pages at `public_url`, as far as its name tells.

    A private address counts where feeds may be fetched from it, since a hub may stand there too.
    """
    name = (urlsplit(public_url).hostname or "").rstrip(".").lower()
    try:
        ip_address(name)
    except ValueError:
        return "." in name and not any(name.endswith(f".{suffix}") for suffix in _INSIDE)
    return is_public(name, tuple(ip_network(text, strict=False) for text in allow_private))


def are_used(config: Config) -> bool:
    """Whether hubs are asked at all."""
    settings = config.settings
    return (
        settings.polling.websub
        and settings.web is not None
        and is_reachable(settings.public_url, settings.fetch.allow_private)
    )


def key_of(token: str) -> str:
    """Return the key of a lease whose callback ends in `token`."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


async def note_hub(
    app: App, feed: str, polled: str, answer: Fetched, parsed: ParsedFeed, before: HubLease | None
) -> None:
    """Note the hub that a feed's document announces, in its headers or in itself, in place of the one of `before`.

    `polled` is the feed's address before redirects, which may lead elsewhere each time.
    """
    config, now = app.config, app.now()
    if not are_used(config) or feed not in feeds_to_poll(config):
        return
    # A feed that announces another one each time would have hubs asked without end.
    if before is not None and before.asked_at is not None and abs(now - before.asked_at) < TRY_AGAIN:
        return
    hub = answer.links.get("hub") or parsed.hub
    known = topic(polled, answer.links.get("self") or parsed.address)
    if (hub, known) != ((before.hub, before.topic) if before is not None else ("", known)):
        lease = _lease(config, feed, hub, known, now) if hub else None
        await app.db(app.store.hubs.replace, feed, lease, now)


def _lease(config: Config, feed: str, hub: str, known: str, now: datetime) -> HubLease:
    token = secrets.token_urlsafe(24)
    return HubLease(
        key=key_of(token),
        feed=feed,
        hub=hub,
        topic=known,
        callback=_callbacks(config) + token,
        secret=secrets.token_urlsafe(32),
        next_at=now,
    )


def _callbacks(config: Config) -> str:
    return config.settings.public_url.rstrip("/") + CALLBACKS


async def ask_hubs(app: App) -> int:
    """Ask the hubs that are due; return how many were asked."""
    await app.db(_tidy, app, app.now())
    due = await app.db(app.store.hubs.claim, app.now(), ASKED_AT_ONCE)
    await asyncio.gather(*(_ask(app, lease) for lease in due))
    return len(due)


def _tidy(app: App, now: datetime) -> None:
    """Let go of what is no longer wanted or would no longer reach us, and mark what no longer works."""
    config, hubs = app.config, app.store.hubs
    used, polled = are_used(config), feeds_to_poll(config)
    for lease in hubs.all():
        if not used or lease.feed not in polled:
            hubs.replace(lease.feed, None, now)
        elif not lease.callback.startswith(_callbacks(config)):
            hubs.replace(lease.feed, _lease(config, lease.feed, lease.hub, lease.topic, now), now)
    for lease in hubs.mark_broken(now + BROKEN_AGAIN * app.rng.uniform(1.0, 1.2), now):
        log.warning(
            "%s: %s did not push what a poll found; the feed is polled at its own interval", lease.feed, host(lease.hub)
        )


async def _ask(app: App, lease: HubLease) -> None:
    mode = "unsubscribe" if lease.state == "leaving" else "subscribe"
    form = {"hub.mode": mode, "hub.topic": lease.topic, "hub.callback": lease.callback}
    if mode == "subscribe":
        form |= {"hub.lease_seconds": str(int(LEASE.total_seconds())), "hub.secret": lease.secret}
    now = app.now()
    if (failed := await app.post(lease.hub, form, await app.rests())) is None:
        log.debug("%s: asked %s to %s", lease.feed, host(lease.hub), mode)
        return
    log.info("%s: its hub cannot be asked to push: %s", lease.feed, failed.reason)
    wait = timedelta(seconds=failed.retry_after or 0.0)
    await app.db(app.store.hubs.failed, lease.key, failed.reason[:1000], now + wait)


def confirm(app: App, lease: HubLease, mode: str, named: str, lease_seconds: str) -> bool:
    """Whether a hub that asks back is to go on: we asked it for just that, lately."""
    now, hubs = app.now(), app.store.hubs
    if lease.topic != named or lease.asked_at is None or abs(now - lease.asked_at) > CONFIRM_WITHIN:
        return False
    if mode == "unsubscribe" and lease.state == "leaving":
        hubs.remove(lease.key)
        return True
    if mode != "subscribe" or lease.state == "leaving":
        return False
    length = granted(lease_seconds)
    hubs.confirmed(lease.key, now + length, now + renew_after(length, app.rng), now)
    log.info("%s: %s pushes it from now on", lease.feed, host(lease.hub))
    return True


def deny(app: App, lease: HubLease, named: str, reason: str) -> bool:
    """Take a hub's word that it does not push; False for what it was not asked to."""
    if lease.topic != named:
        return False
    said = clean(reason)[:200]
    app.store.hubs.denied(lease.key, said, app.now())
    log.info("%s: %s does not push it: %s", lease.feed, host(lease.hub), said or "it does not say why")
    return True

"""What an installation needs, looked at piece by piece: each is good, or comes with its remedy.

Nothing is sent and nothing is changed, except by `send_test`.
"""

from __future__ import annotations

import os
import platform
import re
import socket
import sqlite3
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import dns.exception
import dns.resolver
from publicsuffixlist import PublicSuffixList

from monitor import __version__
from monitor.app import LOOPBACK, App, feeds_to_poll, way_in
from monitor.config import Config
from monitor.dispatch import Notice
from monitor.errors import NotFoundError, SendError, StoreError
from monitor.logs import redact
from monitor.pipeline.deliver import render
from monitor.send import Outcome
from monitor.store import Store
from monitor.text import series
from monitor.urls import ascii_domain, host

State = Literal["good", "warning", "bad", "untested"]
# The texts that a name has in DNS for a type of record: none where it has no such record, None where there is no such
# name. Raises dns.exception.DNSException when that cannot be found out.
Ask = Callable[[str, str], "list[str] | None"]

DNS_PATIENCE = 5.0  # seconds for a question
PROBES = 8  # servers that are asked side by side


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `fix` says what to do about what is not good."""

    area: str
    state: State
    said: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a test message."""

    subscriber: str
    channel: str
    outcome: Outcome


def examine(app: App, now: datetime, ask: Ask, selectors: Sequence[str] = ()) -> Iterator[Finding]:
    """Yield what is found, cheapest first. `selectors` are the DKIM selectors that the mail server signs with."""
    yield from _versions()
    yield from _permissions(app.data, is_private=app.config.settings.secret_key is None)
    yield from _database(app.store, now)
    yield from _names(app)
    yield from _channels(app)
    yield from _links(app.config.settings.public_url)
    yield _contact(app.config)
    domain = parseaddr(app.config.settings.mail_from)[1].rpartition("@")[2]
    if domain:
        yield from mail_domain(domain.lower(), ask, selectors)


def _versions() -> Iterator[Finding]:
    yield Finding(
        "versions",
        "good",
        f"News Monitor {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{platform.system()} {platform.machine()}",
    )


def _permissions(data: Path, *, is_private: bool) -> Iterator[Finding]:
    probe = data / f".doctor.{os.getpid()}"
    try:
        probe.write_text("x")
        probe.unlink()
    except OSError as error:
        yield Finding(
            "permissions", "bad", f"{data} cannot be written: {error.strerror}", "give it to the program's user"
        )
        return
    key = data / "secret.key"
    if is_private and key.exists() and stat.S_IMODE(key.stat().st_mode) & 0o077:
        fix = f"chmod 600 {key}"
        yield Finding("permissions", "warning", f"others can read {key}, which signs the links in mails", fix)
    else:
        yield Finding("permissions", "good", f"{data} can be written")


def _database(store: Store, now: datetime) -> Iterator[Finding]:
    if not store.ready():
        yield Finding("database", "bad", "it has not the tables that this version needs", "run `monitor migrate`")
        return
    try:
        latest, theirs = store.clocks()
    except StoreError as error:
        yield Finding("database", "bad", str(error), "see the database's own log")
        return
    yield Finding("database", "good", f"{store.url.get_backend_name()} answers and is up to date")
    yield _clock(now, latest, theirs)


def _clock(now: datetime, latest: datetime | None, theirs: datetime | None) -> Finding:
    fix = "set the clock, and let it be kept (chrony, systemd-timesyncd)"
    if theirs is not None and abs(theirs - now) > timedelta(seconds=5):
        apart = abs(theirs - now).total_seconds()
        return Finding("clock", "bad", f"this machine and the database's are {apart:.0f} s apart", fix)
    if latest is not None and latest > now + timedelta(minutes=5):
        return Finding("clock", "bad", "it was later before: the database has times that are still to come", fix)
    return Finding("clock", "good", f"{now:%Y-%m-%d %H:%M:%S} UTC, and nothing on record is later")


def _names(app: App) -> Iterator[Finding]:
    """Whether names can be looked up: those of the feeds, of which a few are enough."""
    names = sorted({name for url in feeds_to_poll(app.config).values() if (name := host(url))})[:3]
    lost = []
    for name in names:
        try:
            socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
        except OSError:
            lost.append(name)
    if lost and len(lost) == len(names):
        yield Finding("DNS", "bad", f"no name is found ({', '.join(lost)})", "check /etc/resolv.conf and the network")
    elif lost:
        yield Finding("DNS", "warning", f"{', '.join(lost)} not found", "check the feeds' addresses")
    else:
        yield Finding("DNS", "good", f"names are found ({', '.join(names)})" if names else "no feed's name to look up")


def _channels(app: App) -> Iterator[Finding]:
    """Log in to each mail server once, and ask Slack about each bot's token."""
    users: dict[str, list[str]] = {}
    urls: dict[str, str] = {}
    for name, channel, url in _addresses(app):
        try:
            login = app.sender.login(url)
        except SendError as error:
            yield Finding("channels", "bad", f"{name}/{channel}: {redact(str(error))}", "see docs/howto/channels.md")
            continue
        users.setdefault(login, []).append(f"{name}/{channel}")
        urls[login] = url
    if not urls:
        yield Finding("channels", "warning", "there is nobody to tell", "declare a subscriber, or `operators`")
        return
    with ThreadPoolExecutor(PROBES) as pool:
        probes = list(pool.map(app.sender.probe, urls.values()))
    untested: dict[str, list[str]] = {}
    for login, probe in zip(urls, probes, strict=True):
        if probe.state == "untested":
            untested.setdefault(probe.said, []).extend(users[login])
        else:
            yield Finding("channels", probe.state, f"{series(users[login])}: {probe.said}", probe.fix)
    for said, names in untested.items():
        fix = f"`monitor doctor --send {names[0].partition('/')[0]}` sends a test"
        yield Finding("channels", "untested", f"{series(names)}: {said}", fix)


def _addresses(app: App) -> Iterator[tuple[str, str, str]]:
    """Yield who has a channel, its name and its address: `escalations` are needed when nothing else has worked."""
    for index, secret in enumerate(app.config.settings.operators):
        yield "operators", str(index), secret.get_secret_value()
    for subscriber in app.config.subscribers.values():
        if subscriber.enabled:
            for channel, secret in subscriber.channels.items():
                yield subscriber.name, channel, secret.get_secret_value()
    further = {name: url for topic in app.config.topics for name, url in app.config.escalation(topic).items()}
    for name, url in further.items():
        yield "escalations", name, url


def _links(public_url: str) -> Iterator[Finding]:
    parts = urlsplit(public_url)
    if parts.hostname in LOOPBACK:
        fix = "set `public_url` to the address at which readers reach the pages"
        yield Finding("links", "warning", f"links in mails lead to {public_url}, which only this machine reaches", fix)
    elif parts.scheme != "https":
        fix = "serve the pages by https: mail programs offer one-click unsubscribing for no other (RFC 8058)"
        yield Finding("links", "warning", f"links in mails start with {public_url}", fix)
    else:
        yield Finding("links", "good", f"links in mails start with {public_url}")


def _contact(config: Config) -> Finding:
    """Whether a publisher whom our requests trouble learns whom to ask, before blocking them."""
    own, (_, contact) = config.settings.fetch.user_agent, way_in(config)
    if own is None and not contact:
        fix = "set `public_url`, or `fetch.user_agent` to a name with your address: `Corvid/1 (+desk@corvid.example)`"
        return Finding("contact", "warning", "requests tell publishers no way to reach you", fix)
    if own is not None and not re.search(r"\S@\S|://", own):
        fix = "add a mail or web address to `fetch.user_agent`"
        return Finding(
            "contact", "warning", f"requests go out as {own}, which tells publishers no way to reach you", fix
        )
    return Finding("contact", "good", f"requests say who asks: {own or contact}")


# --- the sender's domain ---------------------------------------------------------------------------------------


def resolver(servers: Sequence[str] = (), port: int = 53) -> Ask:
    """Return what asks DNS: the name servers given, or those of this machine."""

    def ask(name: str, kind: str) -> list[str] | None:
        asked = dns.resolver.Resolver(configure=not servers)
        if servers:
            asked.nameservers, asked.port = list(servers), port
        asked.lifetime = DNS_PATIENCE
        try:
            answer = asked.resolve(name, kind, search=False)
        except dns.resolver.NXDOMAIN:
            return None
        except dns.resolver.NoAnswer:
            return []
        if kind == "TXT":
            return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
        return [record.to_text() for record in answer]

    return ask


def mail_domain(domain: str, ask: Ask, selectors: Sequence[str] = ()) -> Iterator[Finding]:
    """Yield what DNS says of a domain that mails come from: whether it is reachable, SPF, DKIM, DMARC.

    What it cannot say: whether the mail server is in the SPF record, and whether it signs.
    """
    try:
        domain = ascii_domain(domain)
        yield _reachable(domain, ask)
        if ask(domain, "TXT") is None:
            return
        yield _spf(domain, ask)
        yield from _dkim(domain, ask, selectors)
        yield _dmarc(domain, ask)
    except (dns.exception.DNSException, UnicodeError) as error:
        said = f"{domain} cannot be looked up: {type(error).__name__}"
        yield Finding("mail", "bad", said, "check the name servers in /etc/resolv.conf")


def _reachable(domain: str, ask: Ask) -> Finding:
    servers = ask(domain, "MX")
    if servers is None:
        return Finding("mail", "bad", f"{domain} does not exist, so most servers refuse its mails", "check `mail_from`")
    if any(server.split() == ["0", "."] for server in servers):
        said = f"{domain} says that it takes no mail (RFC 7505), so servers refuse mails from it"
        return Finding("mail", "bad", said, "use a domain for `mail_from` that bounces can be sent to")
    if servers or ask(domain, "A") or ask(domain, "AAAA"):
        return Finding("mail", "good", f"bounces can reach {domain}")
    said = f"{domain} has neither MX nor address, so many servers refuse its mails"
    return Finding("mail", "bad", said, f"publish an MX record for {domain}")


def _spf(domain: str, ask: Ask) -> Finding:
    found = [said for said in ask(domain, "TXT") or () if said.lower().split(" ")[0] == "v=spf1"]
    if not found:
        fix = f'publish a TXT record at {domain}, such as "v=spf1 mx -all", that names the servers you send by'
        return Finding("SPF", "warning", f"{domain} has no SPF record", fix)
    if len(found) > 1:
        return Finding("SPF", "bad", f"{domain} has {len(found)} SPF records, which counts as none", "keep one")
    words = found[0].lower().split()
    if "+all" in words or "all" in words:
        return Finding("SPF", "bad", f"{found[0]} lets anybody send as {domain}", "end it in ~all or -all")
    return Finding("SPF", "good", found[0])


def _dkim(domain: str, ask: Ask, selectors: Sequence[str]) -> Iterator[Finding]:
    for selector in selectors:
        name = f"{selector}._domainkey.{domain}"
        keys = [said for said in ask(name, "TXT") or () if "p=" in said.replace(" ", "")]
        tags = dict(part.strip().partition("=")[::2] for part in keys[0].split(";")) if keys else {}
        if not keys:
            yield Finding("DKIM", "bad", f"{name} has no key", "publish the key that the mail server signs with")
        elif not tags.get("p", "").strip():
            yield Finding("DKIM", "bad", f"the key at {name} is withdrawn", "publish the key in use")
        else:
            yield Finding("DKIM", "good", f"{name} has a key")
    if selectors:
        return
    # A name with others below it exists, even if it has no records itself (RFC 8020).
    if ask(f"_domainkey.{domain}", "TXT") is None:
        fix = "have the mail server or provider sign, and publish its key"
        yield Finding("DKIM", "warning", f"{domain} has no key to sign mails with", fix)
    else:
        fix = "`monitor doctor --dkim SELECTOR` looks at the one that your mail server signs with"
        yield Finding("DKIM", "good", f"{domain} has keys; {fix}")


def _dmarc(domain: str, ask: Ask) -> Finding:
    above = PublicSuffixList().privatesuffix(domain) or domain
    for name in dict.fromkeys((domain, above)):
        found = [
            said for said in ask(f"_dmarc.{name}", "TXT") or () if said.replace(" ", "").lower().startswith("v=dmarc1")
        ]
        if len(found) > 1:
            return Finding("DMARC", "bad", f"_dmarc.{name} has {len(found)} records, which counts as none", "keep one")
        if found:
            return Finding("DMARC", "good", f"_dmarc.{name}: {found[0]}")
    fix = f'publish a TXT record at _dmarc.{above}: "v=DMARC1; p=none; rua=mailto:…"'
    return Finding("DMARC", "warning", f"{domain} has no DMARC record, which Gmail and Yahoo want of bulk senders", fix)


# --- a test message --------------------------------------------------------------------------------------------


def send_test(app: App, name: str, now: datetime) -> list[Sent]:
    """Send a test to each channel of a subscriber, of `operators` or of `escalations`, at once and past the outbox.

    Raises NotFoundError, SendError or RenderError.
    """
    found = [(channel, url) for one, channel, url in _addresses(app) if one == name]
    if not found:
        raise NotFoundError(f"there is no subscriber `{name}` with a channel (or write `operators`, `escalations`)")
    notice = Notice("This is a test", (f"It was sent by hand to see whether messages reach {name}.",))
    sent = []
    for channel, url in found:
        message = render(app, app.config, notice, url)
        identity = f"test-{uuid.uuid4().hex}@{app.mail_host}"
        sent.append(Sent(name, channel, app.sender.send(url, message, identity, now)))
    return sent

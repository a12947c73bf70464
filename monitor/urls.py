"""Addresses: which may be fetched or shown, and the canonical form that joins one story over feeds. Pure."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

from monitor.errors import URLError

LONGEST = 4096  # characters; longer ones are no news story's address

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Parameters that say where a reader came from, not what the page is (Miniflux's urlcleaner.go, with those measured on
# news feeds: notes on feeds, section 7). A list of what to drop, never of what to keep: an unknown parameter may be
# the story's very id.
_TRACKERS = re.compile(
    r"(?i)^(utm_.*|at_.*|ns_.*|fb_.*|mc_[ce]id|fbclid|gclid|dclid|gbraid|wbraid|msclkid|yclid|twclid|igshid|ocid|smid"
    r"|smtyp|cmp|cmpid|xtor|partner|emc|ftag|ncid|ito|campaign_id|_hs(enc|mi)|mkt_tok|ref_?src|rss_?id|feedtype)$"
)
_RSS_VALUES = re.compile(r"(?i)^rss")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_url(url: str) -> str:
    r"""Return an http or https address in one unambiguous form, its host in lower case and IDNA.

    Raises URLError, which says why, for everything that two parsers might read differently (backslashes, user-info,
    control characters) and for every other scheme: an allow-list, since deny-lists forget `file:` in some spelling.
    """
    url = url.strip(" \t\r\n")
    if len(url) > LONGEST:
        raise URLError(f"the address is longer than {LONGEST} characters")
    if _CONTROLS.search(url) or "\\" in url:
        raise URLError("the address holds a control character or a backslash")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise URLError(f"the address cannot be read: {error}") from error
    if parts.scheme.lower() not in _DEFAULT_PORTS:
        raise URLError("the address is not http:// or https://")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise URLError("the address holds a user name or password")
    if not parts.hostname:
        raise URLError("the address has no host")
    return urlunsplit(
        (parts.scheme.lower(), _netloc(parts.hostname, port, parts.scheme), parts.path or "/", *parts[3:])
    )


def _netloc(hostname: str, port: int | None, scheme: str) -> str:
    hostname = hostname.rstrip(".").lower()
    if ":" in hostname:
        hostname = f"[{hostname}]"
    elif not hostname.isascii():
        try:
            hostname = hostname.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise URLError(f"the host {hostname!r} is no host name") from error
    if not hostname or re.search(r"[\s<>\"'`{}|^%/?#]", hostname):
        raise URLError(f"the host {hostname!r} is no host name")
    return hostname if port in (None, _DEFAULT_PORTS[scheme.lower()]) else f"{hostname}:{port}"


def resolve(base: str, link: str) -> str:
    """Return `link` as an absolute http(s) address, relative to `base`; "" when it is none."""
    try:
        return check_url(urljoin(base, link.strip()) if base else link)
    except (URLError, ValueError):
        return ""


def canonical_url(url: str) -> str:
    """Return the form in which one page's addresses are equal: https, no `www.`, tracker or fragment; "" for none.

    A key to join feeds by, never an address to fetch. Parameters are sorted; those that are not known trackers stay.
    """
    try:
        parts = urlsplit(check_url(url))
    except URLError:
        return ""
    host = parts.netloc.removeprefix("www.")
    host = host.removesuffix(":80") if parts.scheme == "https" else host
    kept = sorted(
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if not _TRACKERS.match(name)
        and not (name.lower() in ("mod", "src", "source", "from") and _RSS_VALUES.match(value))
    )
    path = quote(unquote(parts.path), safe="/:@!$&'()*+,;=~-._") if parts.path != "/" else ""
    # Single-page sites keep the story's id behind `#!`; every other fragment is a place within the page.
    fragment = parts.fragment if parts.fragment.startswith("!") else ""
    return urlunsplit(("https", host, path.rstrip("/") or "/", urlencode(kept), fragment))


def host(url: str) -> str:
    """Return the host of an address in lower case, "" when it has none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""

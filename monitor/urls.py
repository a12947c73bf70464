"""Addresses: which may be fetched or shown, and the canonical form that joins one story over feeds. Pure."""

from __future__ import annotations

import re
from functools import cache
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import idna
from publicsuffixlist import PublicSuffixList

from monitor.errors import URLError

LONGEST = 4096  # characters; longer ones are no news story's address

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Parameters that say where a reader came from, not what the page is (Miniflux's urlcleaner.go, with those measured on
# news feeds: notes on feeds, section 7). A list of what to drop, never of what to keep: an unknown parameter may be
# the story's very id.
_TRACKERS = re.compile(
    r"(?i)^(utm_.*|at_.*|ns_.*|fb_.*|mc_[ce]id|fbclid|gclid|dclid|gbraid|wbraid|msclkid|yclid|twclid|igshid|ocid|smid"
    r"|smtyp|cmp|cmpid|xtor|emc|ftag|ncid|ito|campaign_id|_hs(enc|mi)|mkt_tok|ref_?src|rss_?id|feedtype)$"
)
_RSS_VALUES = re.compile(r"(?i)^rss")
_SENDERS = ("mod", "src", "source", "from", "ref", "partner")  # trackers only where they name RSS
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")  # no top-level domain is one, but old forms of IPv4 addresses end so
_ADDRESS = re.compile(r"[0-9a-f:.]+")
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}")
# Characters that stand for themselves in a path or query (RFC 3986, 3.3 and 3.4); "%" keeps what is encoded already.
_PLAIN = "%/:@!$&'()*+,;=~-._?[]"
# Addresses that are in the form of `check_url` already, as nearly all are: to find that out takes a microsecond.
_USUAL = re.compile(
    rf"https?://(?=[^/]{{1,253}}/)(?:(?:[a-z0-9_-]+\.)*[a-z][a-z0-9_-]*|{_IPV4.pattern})(?::[1-9][0-9]{{3}}|:[1-5][0-9]{{4}})?"
    r"/[A-Za-z0-9%/:@!$&'()*+,;=~._-]*(?:\?[A-Za-z0-9%/:@!$&'()*+,;=~._?-]+)?"
)
_ENCODED = re.compile("%([0-9a-fA-F]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Ports on which other services listen than the web's (WHATWG Fetch, "bad port"), the common ones.
_OTHER_SERVICES = frozenset({1, 7, 9, 11, 13, 19, 21, 22, 23, 25, 53, 110, 111, 119, 135, 139, 143, 179, 389, 445})


def check_url(url: str) -> str:
    r"""Return an http or https address in one unambiguous form, its host in lower case and IDNA.

    Raises URLError, which says why, for everything that two parsers might read differently (backslashes, user-info,
    control characters) and for every other scheme: an allow-list, since deny-lists forget `file:` in some spelling.
    """
    return url if len(url) <= LONGEST and _USUAL.fullmatch(url) else _checked(url)


def _checked(url: str) -> str:
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
    if port == 0 or port in _OTHER_SERVICES:
        raise URLError(f"port {port} is not one of the web's")
    netloc = _netloc(parts.hostname, port, parts.scheme)
    if "[" in parts.netloc and ":" not in parts.hostname:
        raise URLError(f"{parts.netloc!r} is no IPv6 address")
    path, query, fragment = (quote(part, safe=_PLAIN) for part in parts[2:])
    return urlunsplit((parts.scheme.lower(), netloc, path or "/", query, fragment))


def _netloc(hostname: str, port: int | None, scheme: str) -> str:
    hostname = hostname.rstrip(".").lower()
    if ":" in hostname:
        if not _ADDRESS.fullmatch(hostname):
            raise URLError(f"[{hostname}] is no IPv6 address")
        hostname = f"[{hostname}]"
    elif not hostname.isascii():
        try:
            hostname = hostname[:254].encode("idna").decode("ascii")
        except UnicodeError as error:
            raise URLError(f"the host {hostname!r} is no host name") from error
    if hostname[:1] != "[" and (len(hostname) > 253 or not _NAME.fullmatch(hostname)):
        raise URLError(f"the host {hostname!r} is no host name")
    if _NUMBER.fullmatch(hostname.rpartition(".")[2]) and not _is_ipv4(hostname):
        raise URLError(f"{hostname!r} is no IPv4 address: write it as four numbers, as in 192.0.2.1")
    return hostname if port in (None, _DEFAULT_PORTS[scheme.lower()]) else f"{hostname}:{port}"


def _is_ipv4(hostname: str) -> bool:
    return _IPV4.fullmatch(hostname) is not None


def resolve(base: str, link: str) -> str:
    """Return `link` as an absolute http(s) address, relative to `base`; "" when it is none."""
    link = link.strip()
    if not link or link == "//":  # both would lead to `base` itself
        return ""
    try:
        return check_url(urljoin(base, link) if base else link)
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
    host = parts.netloc.removeprefix("www.").removesuffix(f":{_DEFAULT_PORTS['http']}")
    kept = sorted(_plain(pair) for pair in re.split("[&;]", parts.query) if pair and not _tracks(pair))
    # Single-page sites keep the story's id behind `#!`; every other fragment is a place within the page.
    fragment = parts.fragment if parts.fragment.startswith("!") else ""
    return urlunsplit(("https", host, _plain(parts.path).rstrip("/") or "/", "&".join(kept), fragment))


def _tracks(pair: str) -> bool:
    name, _, value = pair.partition("=")
    return bool(_TRACKERS.match(name) or (name.lower() in _SENDERS and _RSS_VALUES.match(value)))


def _plain(text: str) -> str:
    """Decode what need not be encoded, and nothing else: to decode more would make one of different addresses."""

    def one(match: re.Match[str]) -> str:
        character = chr(int(match.group(1), 16))
        return character if character in _UNRESERVED else match.group().upper()

    return _ENCODED.sub(one, text)


def site(url: str) -> str:
    """Return the registrable domain of an address's host (feeds.bbc.co.uk → bbc.co.uk); the host where it has none."""
    name = host(url)
    if ":" in name or _is_ipv4(name):
        return name
    return _suffixes().privatesuffix(name) or name


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def host(url: str) -> str:
    """Return the host of an address in lower case, "" when it has none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def ascii_domain(domain: str) -> str:
    """Return the ASCII form of a mail domain (IDNA 2008), or it as it is where it has none."""
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain.lower()).decode("ascii")
    except idna.IDNAError:
        return domain

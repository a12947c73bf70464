"""What an answer announces, and whose a push is."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from monitor.hubs import SIGNED_BY, is_signed, links, topic
from monitor.parse import parse_feed

BASE = "https://feeds.example/world.xml"
HUB, SELF = "https://hub.example/", "https://feeds.example/world.atom"


@pytest.mark.parametrize(
    "headers",
    [
        [f'<{HUB}>; rel="hub"', f'<{SELF}>; rel="self"'],
        [f"<{HUB}>; rel=hub, <{SELF}>; rel=self"],
        [f'<{HUB}>;title="a, \\"b\\"; c" ; REL = "Hub"  ,  <world.atom>; rel="alternate SELF"; type=x'],
        [f'<ftp://x.example/>; rel=hub, <{HUB}>; rel=hub; rel=self, <{SELF}>; rel="self", <{HUB}2>; rel=hub'],
        [f'<https://b.example/>; rel=self; anchor="/b", <{HUB}>; rel=hub, <{SELF}>; rel=self'],
    ],
)
def test_link_headers_name_the_hub_and_the_feed_s_own_address(headers: list[str]) -> None:
    found = links(headers, BASE)
    assert (found["hub"], found["self"]) == (HUB, SELF)


@pytest.mark.parametrize(
    "header", ["", "<", "<>; rel=hub", "<javascript:x>; rel=hub", "<https://u:p@hub.example/>; rel=hub", "hub"]
)
def test_other_link_headers_name_none(header: str) -> None:
    assert "hub" not in links([header], BASE)


@pytest.mark.parametrize("unit", ["<", '<a>;b="', "<a>;", "<a> ; a = ", '<a>;x="\\"', " ", '<a>; rel="'])
def test_of_endless_link_headers_the_beginning_is_read(unit: str) -> None:
    assert "hub" not in links([unit * 100_000, f"<{HUB}>; rel=hub"], BASE)


def test_a_feed_is_known_by_its_own_address_only_on_its_own_site() -> None:
    assert topic(BASE, "https://www.feeds.example/other") == "https://www.feeds.example/other"
    assert topic(BASE, "https://rival.example/feed") == BASE
    assert topic("https://a.github.io/x", "https://b.github.io/x") == "https://a.github.io/x"
    assert topic(BASE, "") == BASE


@pytest.mark.parametrize("method", SIGNED_BY)
def test_a_signature_is_of_the_body_and_the_secret(method: str) -> None:
    mark = hmac.new(b"secret", b"news", method).hexdigest()
    assert is_signed(b"news", f"{method}={mark}", "secret")
    assert is_signed(b"news", f"{method.upper()}={mark.upper()}", "secret")
    assert not is_signed(b"news!", f"{method}={mark}", "secret")
    assert not is_signed(b"news", f"{method}={mark}", "other")
    assert not is_signed(b"news", f"{method}={mark[:-1]}", "secret")


def test_what_is_no_signature_proves_nothing() -> None:
    plain = hashlib.sha256(b"news").hexdigest()
    weak = hmac.new(b"secret", b"news", "md5").hexdigest()
    for written in ("", "sha256", "sha256=", f"sha256={plain}", f"md5={weak}", "sha256=é", "=", "shake_128=00"):
        assert not is_signed(b"news", written, "secret")


ATOM = f"""<feed xmlns="http://www.w3.org/2005/Atom"><title>x</title><id>x</id>
<link rel="hub" href="{HUB}"/><link rel="self" href="world.atom"/><entry><id>1</id><title>t</title></entry></feed>"""
RSS = f"""<rss version="2.0" xmlns:a="http://www.w3.org/2005/Atom"><channel><title>x</title>
<a:link rel="self" href="{SELF}"/><a:link rel="hub" href="{HUB}"/>
<item><guid>1</guid><title>t</title><a:link rel="hub" href="https://rival.example/"/></item></channel></rss>"""
JSON = f"""{{"version": "https://jsonfeed.org/version/1.1", "title": "x", "feed_url": "{SELF}", "items": [],
"hubs": [{{"type": "rssCloud", "url": "https://cloud.example/"}}, 7, {{"type": "WebSub", "url": "{HUB}"}}]}}"""


@pytest.mark.parametrize("document", [ATOM, RSS, JSON])
def test_a_document_names_its_hub_and_its_own_address(document: str) -> None:
    parsed = parse_feed(document.encode(), BASE)
    assert (parsed.hub, parsed.address) == (HUB, SELF)
    again = parse_feed(document.encode(), BASE, known=parsed.seen)
    assert (again.hub, again.address) == (HUB, SELF)


def test_a_document_whose_hub_is_no_web_address_names_none() -> None:
    assert parse_feed(ATOM.replace(HUB, "file:///etc/passwd").encode(), BASE).hub == ""

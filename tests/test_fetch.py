from __future__ import annotations

import asyncio
import gzip
import hashlib
import itertools
import json
import socket
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from monitor import hosts
from monitor.config import FetchSettings
from monitor.fetch import Failed, Fetched, Fetcher, NotModified, is_public
from tests.fakes import Answer, FeedServer, RawServer, free_port

BODY = b"<rss version='2.0'><channel><title>Northern Wire</title></channel></rss>"


def settings(**given: object) -> FetchSettings:
    return FetchSettings.model_validate({"allow_private": ["127.0.0.1"], "per_host": 8, "per_host_gap": "0s"} | given)


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as running:
        yield running


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    made = Fetcher(settings(timeout="2s", max_bytes="100KB"))
    yield made
    await made.close()


async def test_a_form_goes_along_with_redirects_that_keep_it(server: FeedServer, fetcher: Fetcher) -> None:
    there = server.route("/there", Answer(status=204))
    for status in (307, 308):
        assert await fetcher.post(server.redirect("/hub", there, status), {"hub.mode": "subscribe"}) is None
        assert server.asked[-1].path == "/there"
        assert server.asked[-1].headers["Content-Type"] == "application/x-www-form-urlencoded"
    for status in (301, 302, 303):
        failed = await fetcher.post(server.redirect("/hub", there, status), {"hub.mode": "subscribe"})
        assert failed is not None
        assert f"refused what it was asked ({status})" in failed.reason
    assert await fetcher.post("file:///etc/passwd", {}) is not None


async def failure(fetcher: Fetcher, url: str) -> Failed:
    found = await fetcher.fetch(url)
    assert isinstance(found, Failed), found
    return found


async def test_a_document_comes_with_its_validators_and_hash(server: FeedServer, fetcher: Fetcher) -> None:
    modified = "Wed, 25 Nov 2026 09:00:00 GMT"
    url = server.route("/feed.xml", Answer(BODY, etag='W/"a,b"', last_modified=modified))
    found = await fetcher.fetch(url)
    assert isinstance(found, Fetched)
    assert (found.url, found.status, found.body, found.etag, found.last_modified) == (
        url,
        200,
        BODY,
        'W/"a,b"',
        modified,
    )
    assert found.content_type.startswith("application/rss+xml")
    again = await fetcher.fetch(url)
    assert isinstance(again, Fetched)
    assert again.body_hash == found.body_hash != hashlib.blake2b(b"", digest_size=16).hexdigest()


async def test_validators_go_back_byte_for_byte_and_a_304_is_no_document(server: FeedServer, fetcher: Fetcher) -> None:
    url = server.route("/feed.xml", Answer(BODY, etag='W/"x y"', last_modified="Wed, 25 Nov 2026 09:00:00 GMT"))
    found = await fetcher.fetch(url, etag='W/"x y"', last_modified="Wed, 25 Nov 2026 08:00:00 GMT")
    assert found == NotModified('W/"x y"', "Wed, 25 Nov 2026 09:00:00 GMT")
    assert server.asked[0].headers["If-None-Match"] == 'W/"x y"'
    assert server.asked[0].headers["If-Modified-Since"] == "Wed, 25 Nov 2026 08:00:00 GMT"


async def test_a_request_names_the_program_and_asks_for_no_coding_that_cannot_be_capped(
    server: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_loopback(monkeypatch)  # a cookie goes back to a name, where it goes back
    url = server.route("/feed.xml", Answer(BODY, headers={"Set-Cookie": "id=1"})).replace("127.0.0.1", "news.example")
    fetcher = Fetcher(settings())
    await fetcher.fetch(url)
    await fetcher.fetch(url)
    await fetcher.close()
    named = Fetcher(settings(user_agent="Corvid/1 (desk@corvid.example)"))
    await named.fetch(url)
    await named.close()
    first, second, third = (asked.headers for asked in server.asked)
    assert first["User-Agent"].startswith("NewsMonitor/")
    assert third["User-Agent"] == "Corvid/1 (desk@corvid.example)"
    assert first["Accept-Encoding"] == "gzip, deflate"
    assert all("Cookie" not in headers for headers in (first, second, third))
    assert "If-None-Match" not in second


async def test_an_environment_proxy_is_not_used(
    server: FeedServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert isinstance(await fetcher.fetch(server.route("/feed.xml", Answer(BODY))), Fetched)


# Redirects


async def test_redirects_are_followed_and_the_final_address_is_told(server: FeedServer, fetcher: Fetcher) -> None:
    final = server.route("/final.xml", Answer(BODY))
    server.redirect("/two", "final.xml", 301)
    found = await fetcher.fetch(server.redirect("/one", server.url("/two"), 308))
    assert isinstance(found, Fetched)
    assert found.url == final


async def test_redirects_without_end_end(server: FeedServer, fetcher: Fetcher) -> None:
    found = await failure(fetcher, server.redirect("/feed.xml", "/feed.xml"))
    assert (found.kind, server.count()) == ("hard", 5)
    assert "redirected more than 4 times" in found.reason


@pytest.mark.parametrize("target", ["file:///etc/passwd", "javascript:alert(1)", "http://x@127.0.0.1/", "http://a:22/"])
async def test_a_redirect_to_what_is_not_fetched_fails(server: FeedServer, fetcher: Fetcher, target: str) -> None:
    found = await failure(fetcher, server.redirect("/feed.xml", target))
    assert "no usable address" in found.reason


async def test_a_redirect_to_a_private_address_is_refused(server: FeedServer, fetcher: Fetcher) -> None:
    found = await failure(fetcher, server.redirect("/feed.xml", "http://127.0.0.2:8080/"))
    assert found.kind == "blocked"


async def test_all_hops_together_have_one_deadline(server: FeedServer) -> None:
    for hop in range(4):
        headers = {"Location": f"/{hop + 1}"}
        server.route(f"/{hop}", Answer(status=302, headers=headers, delay=0.4))
    fetcher = Fetcher(settings(timeout="1s"))
    began = time.monotonic()
    found = await failure(fetcher, server.url("/0"))
    await fetcher.close()
    assert "did not answer within 1 s" in found.reason
    assert time.monotonic() - began < 1.5


# Addresses


def test_addresses_are_public_exactly_where_the_table_says(shared_data: Path) -> None:
    table = json.loads((shared_data / "hostile/ssrf/ip_table.json").read_text())
    assert {address: is_public(address) for address, _ in table} == {address: bool(wanted) for address, wanted in table}


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "169.254.169.254", "10.1.2.3", "100.64.0.1", "::1", "::ffff:127.0.0.1", "fe80::1%eth0", "not one"],
)
def test_no_private_address_is_public(address: str) -> None:
    assert not is_public(address)


def test_only_the_part_of_ipv6_that_is_given_out_is_public() -> None:
    for address in ("::ffff:0:127.0.0.1", "1::1", "4000::1", "1fff::1", "e000::1"):
        assert not is_public(address), address
    assert is_public("2606:4700::1111")
    assert is_public("::ffff:8.8.8.8")
    assert is_public("4000::1", (ip_network("4000::/16"),))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"),
        *("１２７．０．０．１", "0.0.0.0", "[::]"),
    ],
)
async def test_no_spelling_of_loopback_gets_past_the_guard(server: FeedServer, address: str) -> None:
    server.route("/feed.xml", Answer(BODY))
    fetcher = Fetcher(settings(allow_private=[], timeout="5s"))
    found = await failure(fetcher, f"http://{address}:{server.port}/feed.xml")
    await fetcher.close()
    assert "fetch.allow_private" in found.reason or "four numbers" in found.reason
    assert server.asked == []


def at_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every name lead to this machine."""

    def answer(_: str, port: int, *__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


async def test_a_name_is_judged_by_the_address_that_is_connected_to(
    server: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_loopback(monkeypatch)
    fetcher = Fetcher(settings(allow_private=[]))
    found = await failure(fetcher, f"http://public.example:{server.port}/feed.xml")
    await fetcher.close()
    assert found.kind == "blocked"
    assert server.asked == []


async def test_a_network_may_be_allowed(server: FeedServer) -> None:
    fetcher = Fetcher(settings(allow_private=["127.0.0.0/8"]))
    assert isinstance(await fetcher.fetch(server.route("/feed.xml", Answer(BODY))), Fetched)
    await fetcher.close()


async def test_a_literal_address_is_not_looked_up(
    server: FeedServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked_up(*_: object, **__: object) -> None:
        raise AssertionError("a look-up")

    url = server.route("/feed.xml", Answer(BODY))
    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    assert isinstance(await fetcher.fetch(url), Fetched)


# Size


async def test_a_document_over_the_limit_is_refused_with_the_remedy(server: FeedServer, fetcher: Fetcher) -> None:
    found = await failure(fetcher, server.route("/feed.xml", Answer(b"x" * 100_001)))
    assert found.kind == "hard"
    assert "larger than 0.1 MB" in found.reason
    assert "fetch.max_bytes" in found.reason
    assert isinstance(await fetcher.fetch(server.route("/feed.xml", Answer(b"x" * 100_000))), Fetched)
    assert isinstance(await fetcher.fetch(server.url(), max_bytes=99_999), Failed)


async def test_a_document_is_unpacked_and_counted_unpacked(server: FeedServer, fetcher: Fetcher) -> None:
    packed = await fetcher.fetch(server.route("/feed.xml", Answer(BODY * 100, gzipped=True)))
    assert isinstance(packed, Fetched)
    assert packed.body == BODY * 100
    bomb = await failure(fetcher, server.route("/bomb", Answer(b"\x00" * 50_000_000, gzipped=True)))
    assert "larger than" in bomb.reason


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY, wbits=-15)),
        ("x-gzip", gzip.compress(BODY, mtime=0)),
        ("gzip", gzip.compress(BODY[:20], mtime=0) + gzip.compress(BODY[20:], mtime=0)),
        ("gzip", gzip.compress(BODY, mtime=0) + b"\x00" * 100),
        ("gzip", BODY),  # a server that says gzip and does not
        ("identity", BODY),
        ("none", BODY),
        ("utf-8", BODY),
        ("identity, gzip", gzip.compress(BODY, mtime=0)),
        ("gzip,", gzip.compress(BODY, mtime=0)),
        ("identity", gzip.compress(BODY, mtime=0)),  # packed, and does not say so
    ],
)
async def test_codings_that_servers_use_are_undone(
    server: FeedServer, fetcher: Fetcher, coding: str, body: bytes
) -> None:
    found = await fetcher.fetch(server.route("/feed.xml", Answer(body, headers={"Content-Encoding": coding})))
    assert isinstance(found, Fetched), found
    assert found.body == BODY


@pytest.mark.parametrize("start", [b"\t", b"\xef\xbb\xbf", b"\xff\xfe", b"Warning: ", b"\r\n"])
async def test_a_plain_document_that_is_called_gzip_stays_as_it_is(
    server: FeedServer, fetcher: Fetcher, start: bytes
) -> None:
    headers = {"Content-Encoding": "gzip"}
    found = await fetcher.fetch(server.route("/feed.xml", Answer(start + BODY, headers=headers)))
    assert isinstance(found, Fetched), found
    assert found.body == start + BODY


async def test_a_document_that_is_packed_unannounced_is_unpacked_once_and_within_the_limit(
    server: FeedServer, fetcher: Fetcher
) -> None:
    twice = await fetcher.fetch(server.route("/twice", Answer(gzip.compress(gzip.compress(BODY)))))
    assert isinstance(twice, Fetched)
    assert gzip.decompress(twice.body) == BODY
    bomb = await failure(fetcher, server.route("/bomb", Answer(gzip.compress(bytes(50_000_000)))))
    assert "larger than" in bomb.reason
    assert "broke off" in (await failure(fetcher, server.route("/cut", Answer(gzip.compress(BODY)[:-12])))).reason
    for body in (b"", b"x", b"\x1f"):
        found = await fetcher.fetch(server.route("/short", Answer(body)))
        assert isinstance(found, Fetched)
        assert found.body == body


async def test_a_transfer_coding_of_gzip_is_undone(fetcher: Fetcher) -> None:
    packed = gzip.compress(BODY)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    with RawServer(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)) as raw:
        found = await fetcher.fetch(raw.url)
    assert isinstance(found, Fetched), found
    assert found.body == BODY


@pytest.mark.parametrize(
    ("coding", "body", "said"),
    [
        ("br", BODY, "coded as 'br'"),
        ("gzip, gzip", gzip.compress(gzip.compress(BODY, mtime=0), mtime=0), "coded as 'gzip, gzip'"),
        ("gzip", gzip.compress(BODY, mtime=0)[:-12], "broke off"),
        ("none, br", BODY, "coded as 'br'"),
        ("gzip", b"\x1f\x8b" + b"\xff" * 100, "cannot be unpacked"),
    ],
)
async def test_other_codings_and_broken_ones_fail(
    server: FeedServer, fetcher: Fetcher, coding: str, body: bytes, said: str
) -> None:
    found = await failure(fetcher, server.route("/feed.xml", Answer(body, headers={"Content-Encoding": coding})))
    assert said in found.reason


# Failures


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, "hard", "login"),
        (403, "hard", "refuses"),
        (404, "hard", "nothing at this address"),
        (410, "gone", "gone for good"),
        (429, "soft", "too often"),
        (500, "soft", "trouble of its own"),
        (503, "soft", "trouble of its own"),
        (418, "hard", "418"),
        (206, "hard", "206"),
    ],
)
async def test_a_status_becomes_a_sentence_for_people(
    server: FeedServer, fetcher: Fetcher, status: int, kind: str, said: str
) -> None:
    found = await failure(fetcher, server.route("/feed.xml", Answer(BODY, status=status)))
    assert (found.status, found.kind) == (status, kind)
    assert said in found.reason
    assert "127.0.0.1" in found.reason


async def test_a_404_of_youtube_is_soft_since_its_feeds_come_back(
    server: FeedServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_loopback(monkeypatch)
    found = await failure(fetcher, f"http://www.youtube.com:{server.port}/feeds/videos.xml")
    assert (found.status, found.kind) == (404, "soft")
    assert "check the id" in found.reason
    other = await failure(fetcher, f"http://youtube.example:{server.port}/feeds/videos.xml")
    assert (other.status, other.kind) == (404, "hard")


async def test_a_304_that_nobody_asked_for_is_a_failure(server: FeedServer, fetcher: Fetcher) -> None:
    found = await failure(fetcher, server.route("/feed.xml", Answer(status=304)))
    assert (found.status, found.kind) == (304, "soft")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": "99999999"}, 86_400),
        ({"Retry-After": "Wed, 25 Nov 2026 09:10:00 GMT", "Date": "Wed, 25 Nov 2026 09:00:00 GMT"}, 600),
        ({"Retry-After": "Wed, 25 Nov 2026 08:00:00 GMT", "Date": "Wed, 25 Nov 2026 09:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({}, None),
    ],
)
async def test_retry_after_is_seconds_or_a_date_by_the_servers_clock(
    server: FeedServer, fetcher: Fetcher, headers: dict[str, str], seconds: float | None
) -> None:
    found = await failure(fetcher, server.route("/feed.xml", Answer(status=429, headers=headers)))
    assert found.retry_after == seconds


async def test_a_server_that_does_not_answer_is_given_up_in_time(server: FeedServer) -> None:
    fetcher = Fetcher(settings(timeout="0.5s"))
    silent = await failure(fetcher, server.route("/silent", Answer(BODY, delay=30)))
    dripping = await failure(fetcher, server.route("/dripping", Answer(BODY * 50, drip=0.05)))
    await fetcher.close()
    assert silent.reason == dripping.reason == "127.0.0.1 did not answer within 0.5 s"
    assert silent.kind == dripping.kind == "soft"


async def test_a_name_that_does_not_exist_says_so(fetcher: Fetcher) -> None:
    found = await failure(fetcher, "http://nowhere.invalid/feed.xml")
    assert found.kind == "dns"
    assert found.reason.startswith("nowhere.invalid could not be found")


async def test_a_port_where_nothing_listens_says_so(fetcher: Fetcher) -> None:
    port = free_port()
    found = await failure(fetcher, f"http://127.0.0.1:{port}/feed.xml")
    assert found.kind == "soft"
    assert f"refused the connection: nothing listens at port {port}" in found.reason


async def test_a_server_without_tls_has_no_valid_certificate(server: FeedServer, fetcher: Fetcher) -> None:
    found = await failure(fetcher, server.url().replace("http:", "https:"))
    assert "certificate" in found.reason


@pytest.mark.parametrize("url", ["", "ftp://feeds.example/", "http://[broken/", "http://user@feeds.example/"])
async def test_an_address_that_is_not_fetched_is_a_failure_too(fetcher: Fetcher, url: str) -> None:
    assert "feeds.yaml" in (await failure(fetcher, url)).reason


RAW = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a status that is no number": b"HTTP/1.1 abc No\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx",
    "a document cut short": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<rss/>",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nx",
    "a huge chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\nx",
    "a header of a megabyte": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "100,000 headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
    "nothing": b"",
}


async def test_an_answer_may_have_many_headers_and_long_ones(fetcher: Fetcher) -> None:
    headers = b"".join(b"X-%d: y\r\n" % n for n in range(900)) + b"X-Policy: " + b"a" * 50_000 + b"\r\n"
    with RawServer(b"HTTP/1.1 200 OK\r\n" + headers + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY) as raw:
        found = await fetcher.fetch(raw.url)
    assert isinstance(found, Fetched), found
    assert found.body == BODY


@pytest.mark.parametrize("answer", RAW.values(), ids=RAW.keys())
async def test_what_is_not_quite_http_is_a_failure_with_a_reason(fetcher: Fetcher, answer: bytes) -> None:
    with RawServer(answer) as raw:
        found = await failure(fetcher, raw.url)
    assert "127.0.0.1" in found.reason
    assert "\n" not in found.reason


async def test_every_hostile_http_answer_of_the_collection_is_a_value(fetcher: Fetcher, shared_data: Path) -> None:
    files = sorted((shared_data / "hostile/http_raw").glob("*.http"))
    assert files
    for file in files:
        with RawServer(file.read_bytes()) as raw:
            found = await asyncio.wait_for(fetcher.fetch(raw.url), 10)
        assert isinstance(found, Fetched | NotModified | Failed), file.name
        if isinstance(found, Fetched):
            # What is sent back later must be fit for a header.
            assert (found.etag or "x").isprintable(), file.name
            assert (found.last_modified or "x").isascii(), file.name


# Manners


async def test_one_host_gets_no_more_requests_at_once_than_allowed(server: FeedServer) -> None:
    fetcher = Fetcher(settings(per_host=2))
    urls = [server.route(f"/{n}", Answer(BODY, delay=0.05)) for n in range(8)]
    await asyncio.gather(*(fetcher.fetch(url) for url in urls))
    await fetcher.close()
    assert server.at_once == 2
    assert len(server.asked) == 8


async def test_requests_to_one_host_start_with_a_gap_between(server: FeedServer) -> None:
    fetcher = Fetcher(settings(per_host_gap="0.2s"))
    urls = [server.route(f"/{n}", Answer(BODY)) for n in range(4)]
    await asyncio.gather(*(fetcher.fetch(url) for url in urls))
    await fetcher.close()
    starts = [asked.at for asked in server.asked]
    assert all(later - earlier > 0.15 for earlier, later in itertools.pairwise(starts))


async def test_feeds_and_pages_of_a_host_share_its_turns(server: FeedServer) -> None:
    fetcher = Fetcher(settings(per_host=1, per_host_gap="0.2s"))
    urls = [server.route(f"/{n}", Answer(BODY, delay=0.3)) for n in range(4)]
    await asyncio.gather(*(fetcher.fetch(url, page=bool(n % 2)) for n, url in enumerate(urls[:2] * 2)))
    await fetcher.close()
    starts = [asked.at for asked in server.asked]
    assert (server.at_once, len(starts)) == (1, 4)
    assert all(later - earlier > 0.15 for earlier, later in itertools.pairwise(starts))


async def test_pages_wait_longer_and_keep_no_feed_waiting(server: FeedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "PAGE_GAP", 1.0)
    fetcher = Fetcher(settings(per_host=1))
    pages = [asyncio.ensure_future(fetcher.fetch(server.route(f"/page{n}", Answer(BODY)), page=True)) for n in (1, 2)]
    await asyncio.sleep(0.3)  # the second waits
    await fetcher.fetch(server.route("/feed.xml", Answer(BODY)))
    assert [asked.path for asked in server.asked] == ["/page1", "/feed.xml"]
    await asyncio.gather(*pages)
    await fetcher.close()
    assert server.asked[2].at - server.asked[0].at > 0.95


async def test_a_host_with_a_rule_of_its_own_gets_its_gap_whatever_the_setting(
    server: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hosts.GAPS == {"api.gdeltproject.org": 5.0}
    monkeypatch.setitem(hosts.GAPS, "api.gdeltproject.org", 0.2)
    at_loopback(monkeypatch)
    fetcher = Fetcher(settings(per_host=4, per_host_gap="0s"))
    address = f"http://api.gdeltproject.org:{server.port}/api/v2/doc/doc"
    await asyncio.gather(*(fetcher.fetch(f"{address}?query={n}") for n in range(3)))
    await fetcher.close()
    starts = [asked.at for asked in server.asked]
    assert len(starts) == 3
    assert all(later - earlier > 0.15 for earlier, later in itertools.pairwise(starts))


async def test_a_fetch_that_is_cancelled_gives_its_place_back(server: FeedServer) -> None:
    fetcher = Fetcher(settings(per_host=1))
    slow = asyncio.ensure_future(fetcher.fetch(server.route("/slow", Answer(BODY, delay=30))))
    await asyncio.sleep(0.1)
    slow.cancel()
    found = await asyncio.wait_for(fetcher.fetch(server.route("/feed.xml", Answer(BODY))), 5)
    await fetcher.close()
    assert isinstance(found, Fetched)

from __future__ import annotations

import asyncio

import pytest

from monitor import robots
from monitor.errors import WorkerError
from monitor.workers import Workers

BODY = b"User-agent: *\nDisallow: /private/\nAllow: /private/open\n\nUser-agent: NewsMonitor\nDisallow: /*?print=\n"


@pytest.mark.parametrize(
    ("agent", "url", "allowed"),
    [
        ("Other", "https://n.example/news/1", True),
        ("Other", "https://n.example/private/1", False),
        ("Other", "https://n.example/private/open", True),
        ("NewsMonitor", "https://n.example/private/1", True),
        ("NewsMonitor", "https://n.example/news/1?print=1", False),
    ],
)
def test_the_group_of_our_own_name_counts_and_else_that_of_all(agent: str, url: str, allowed: bool) -> None:
    assert robots.asks(BODY, agent, url)[0] is allowed


def test_a_crawl_delay_is_that_of_the_group_that_counts() -> None:
    body = b"User-agent: *\nCrawl-delay: 7\n\nUser-agent: NewsMonitor\nCrawl-delay: 2.5\nDisallow: /x\n"
    assert robots.asks(body, "Other", "https://n.example/") == (True, 7.0)
    assert robots.asks(body, "NewsMonitor", "https://n.example/x") == (False, 2.5)
    assert robots.asks(b"User-agent: *\nCrawl-delay: soon\n", "Other", "https://n.example/") == (True, 0.0)


def test_one_that_is_empty_or_no_robots_txt_allows_all() -> None:
    for body in (b"", b"\x00\xff" * 100, b"<html><body>Not found</body></html>"):
        assert robots.asks(body, "NewsMonitor", "https://n.example/news/1") == (True, 0.0)


def test_it_stands_at_the_root_of_a_host_and_port_and_knows_us_by_our_product() -> None:
    assert robots.robots_url("https://n.example:8443/a/b?c=d#e") == "https://n.example:8443/robots.txt"
    assert robots.product("NewsMonitor/0.1 (news feed reader)") == "NewsMonitor"
    assert robots.product("") == ""


def test_it_is_kept_for_a_day() -> None:
    kept = robots.Kept()
    kept.put("a", BODY, 0.0)
    assert kept.get("a", 86_399.0) == BODY
    assert kept.get("a", 86_400.0) is None
    assert kept.get("b", 0.0) is None


def test_what_is_kept_of_all_sites_is_bounded_and_the_latest_stays() -> None:
    kept = robots.Kept()
    for number in range(100):
        kept.put(str(number), b"x" * 2_000_000, 0.0)
    held = [len(body) for n in range(100) if (body := kept.get(str(n), 0.0)) is not None]
    assert kept.get("99", 0.0)
    assert 10 <= len(held) <= 40
    assert set(held) == {robots.LIMIT}
    for _ in range(100):
        kept.put("99", b"", 0.0)
    assert kept.get("98", 0.0)


def test_a_hostile_one_costs_no_more_than_the_workers_time() -> None:
    # Every rule counts for every name before it.
    body = b"".join(b"User-agent: a%d\n" % n for n in range(12_000)) + b"Disallow: /%d\n" * 18_000

    async def read() -> None:
        workers = Workers(1)
        try:
            with pytest.raises(WorkerError):
                await workers.run(robots.asks, body, "NewsMonitor", "https://n.example/", timeout=2)
        finally:
            workers.close()

    assert len(body) < robots.LIMIT
    asyncio.run(read())

"""Items known from the last document are not parsed again, and everything else is as if the whole had been."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from monitor.parse import ParsedFeed, parse_feed
from monitor.parse.cut import LONGEST, MOST, Pieces, header_mark, pieces, seen

URL = "https://wire.example/feeds/world.xml"


def item(number: int, title: str = "", more: str = "") -> str:
    title = title or f"Story {number}"
    named = f"<guid isPermaLink='false'>{number}</guid><link>/{number}</link>"
    return f"<item>{named}<title>{title}</title>{more}</item>"


def rss(*items: str, head: str = "", tail: str = "") -> bytes:
    inside = f"{head}{' '.join(items)}{tail}"
    return f"<rss version='2.0'><channel><title>Northern Wire</title>{inside}</channel></rss>".encode()


def titles(parsed: ParsedFeed) -> list[str]:
    return [story.title for story in parsed.stories]


def read(body: bytes, known: str = "", url: str = URL) -> ParsedFeed:
    parsed = parse_feed(body, url, "", known)
    whole = parse_feed(body, url)
    known_guids = {place.guid for place in seen(known).items.values()} if known else set()
    assert replace(parsed, stories=(), whole=True) == replace(whole, stories=())
    assert [one for one in whole.stories if one in parsed.stories] == list(parsed.stories)
    assert {one.guid for one in whole.stories} <= {one.guid for one in parsed.stories} | known_guids
    return parsed


def test_known_items_are_not_read_again_and_all_are_listed() -> None:
    first = read(rss(item(1), item(2)))
    assert (first.whole, first.listed, titles(first)) == (True, ("1", "2"), ["Story 1", "Story 2"])
    second = read(rss(item(3), item(1), item(2)), first.seen)
    assert (second.whole, second.listed, titles(second)) == (False, ("3", "1", "2"), ["Story 3"])
    third = read(rss(item(4), item(3), item(1)), second.seen)
    assert (third.listed, titles(third)) == (("4", "3", "1"), ["Story 4"])
    # What left the document is no longer known.
    assert titles(read(rss(item(2), item(4), item(1)), third.seen)) == ["Story 2"]
    assert (third.title, third.kind, third.problems) == ("Northern Wire", "rss20", ())


def test_nothing_new_is_an_answer_too() -> None:
    first = read(rss(item(1), item(2)))
    again = read(rss(item(2), item(1)), first.seen)
    assert (again.whole, again.stories, again.listed, again.readable) == (False, (), ("2", "1"), True)


def test_an_edited_item_is_read() -> None:
    first = read(rss(item(1), item(2)))
    assert titles(read(rss(item(1), item(2, "Story 2, corrected")), first.seen)) == ["Story 2, corrected"]


@pytest.mark.parametrize(
    "head",
    [
        "<link>https://other.example/</link>",
        "<language>fr</language>",
        "<description><![CDATA[<!-- <pubDate>1</pubDate>]]></description>",
        "<atom:link xmlns:atom='http://www.w3.org/2005/Atom' rel='self' href='https://other.example/'/>",
    ],
)
def test_another_header_is_a_reason_to_read_the_whole(head: str) -> None:
    first = read(rss(item(1), item(2)))
    assert read(rss(item(3), item(1), head=head), first.seen).whole
    assert read(rss(item(3), item(1)), first.seen, url="https://moved.example/feed").whole
    assert not read(rss(item(3), item(1)), first.seen).whole


def test_a_header_may_say_when_the_document_was_made() -> None:
    def made(at: str) -> str:
        return (
            (
                f"<!-- cached at {at} --><lastBuildDate>{at}</lastBuildDate><dc:date>{at}</dc:date>"
                f"<items><rdf:Seq><rdf:li resource='{at}'/></rdf:Seq></items>"
            )
            .replace("dc:date>", "pubDate>")
            .replace("rdf:", "")
        )

    first = read(rss(item(1), item(2), head=made("Tue, 24 Nov 2026 10:00:00 GMT"), tail="<!-- 0.1 s -->"))
    second = rss(item(3), item(1), head=made("Tue, 24 Nov 2026 10:05:00 GMT"), tail="<!-- 0.2 s -->")
    assert first.seen
    assert read(second.replace(b"<li resource", b"<li  resource"), first.seen).listed == ("3", "1")


def test_rss_1_lists_its_items_in_the_header() -> None:
    def rdf(*numbers: int) -> bytes:
        lines = "".join(f"<rdf:li rdf:resource='https://wire.example/{n}' />" for n in numbers)
        items = "".join(
            f"<item rdf:about='https://wire.example/{n}'><title>Story {n}</title><link>https://wire.example/{n}</link></item>"
            for n in numbers
        )
        return (
            "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='http://purl.org/rss/1.0/'><channel>"
            f"<title>Wire</title><items><rdf:Seq>{lines}</rdf:Seq></items></channel>{items}</rdf:RDF>"
        ).encode()

    first = read(rdf(2, 1))
    second = read(rdf(3, 2, 1), first.seen)
    assert (second.whole, titles(second)) == (False, ["Story 3"])


def test_stories_that_share_a_guid_or_a_link_are_read_together() -> None:
    first = read(rss(item(1), item(2)))
    assert first.seen
    same_guid = item(1, "Another story").replace("<link>/1", "<link>/9")
    same_link = item(9, "Another story").replace("<link>/9", "<link>/1")
    for other in (same_guid, same_link, item(1, "Another story"), item(1)):
        both = read(rss(other, item(1), item(2)), first.seen)
        assert both.whole
        assert both.seen == ""  # what it says of one hangs on the other


def test_a_malformed_document_is_read_whole_and_nothing_of_it_is_known() -> None:
    broken = item(3, "Tom <br> Ann")
    first = read(rss(item(1), item(2)))
    second = read(rss(broken, item(1)), first.seen)
    assert (second.whole, second.seen, second.listed) == (True, "", ("3", "1"))
    assert read(rss(item(4), item(1)), first.seen).seen


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "windows-1251", "utf-32-be"])
def test_a_document_is_cut_in_every_encoding(encoding: str) -> None:
    declared = f"<?xml version='1.0' encoding='{encoding}'?>"
    first, second = (
        (declared + rss(*items).decode()).encode(encoding)
        for items in ([item(1, "Взрыв")], [item(2, "Порт"), item(1, "Взрыв")])
    )
    assert titles(read(second, read(first).seen)) == ["Порт"]


HIDDEN = [
    "<description><![CDATA[</item><item>]]></description>",
    "<!-- </item><item><![CDATA[ -->",
    "<description>&lt;/item&gt;&lt;item&gt;</description>",
    "<items><title>no story</title></items>",
    "<entryway/><item-count>1</item-count><a:itemized xmlns:a='urn:a'/>",
]


def test_what_only_looks_like_an_item_is_none() -> None:
    body = rss(*(item(n, more=hidden) for n, hidden in enumerate(HIDDEN)), tail="<!-- <item> -->")
    parts = pieces(body.decode())
    assert parts is not None
    assert [one.count("guid") for one in parts.items] == [2] * len(HIDDEN)
    assert parts.before + " ".join(parts.items) + parts.after == body.decode()
    first = read(body)
    assert len(first.seen.split("\n")) == 1 + len(HIDDEN)
    assert titles(read(body.replace(b"Story 1", b"News 1"), first.seen)) == ["News 1"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<rss></rss>",
        "<rss><item>",
        "<rss><item></item",
        "<rss></item></rss>",
        "<rss><item><item></item></item></rss>",
        "<rss><item><x:entry xmlns:x='urn:a'></x:entry></item></rss>",
        "<rss><item></item><x:item xmlns:x='urn:a'></x:item></rss>",
        "<rss><item></entry></item></rss>",
        "<rss><item></item><item/></rss>",
        "<rss><item></item><title>between</title><item></item></rss>",
        "<rss><item></item><![CDATA[ ]]><item></item></rss>",
        "<rss><item><?php </item> ?></item></rss>",
        "<rss><item><![CDATA[</item></rss>",
        "<rss><item><!-- </item></rss>",
        "<rss><item><![cdata[</item>]]></item></rss>",
        "<rss><item><!ELEMENT item></item></rss>",
        f"<rss>{'<item></item>' * (MOST + 1)}</rss>",
    ],
)
def test_every_doubt_is_a_reason_to_read_the_whole(text: str) -> None:
    assert pieces(text) is None
    assert parse_feed(text.encode(), URL).seen == ""


def test_a_prefix_is_part_of_a_name() -> None:
    text = "<a:feed xmlns:a='urn:a'><a:entry><a:id>1</a:id></a:entry><!-- 2 --><a:entry ></a:entry\n></a:feed>"
    parts = pieces(text)
    assert parts is not None
    assert parts.items == ("<a:entry><a:id>1</a:id></a:entry>", "<a:entry ></a:entry\n>")
    assert parts.holding(()) == "<a:feed xmlns:a='urn:a'>\n</a:feed>"


def test_a_document_is_cut_in_time_linear_in_its_length() -> None:
    parts = (
        "<item>",
        "<item",
        "</item>",
        "<item/>",
        "<!--",
        "<![CDATA[",
        "<?",
        "<!",
        "<",
        "<a:",
        "<item><!--",
        "]]><item>",
    )
    heads = (
        "<pubDate>",
        "<pubDate",
        "<rdf:li",
        "<!---->",
        "<![CDATA[",
        "<pubDate></pubDate>",
        "<a.a.a.a:",
        "<pubDate></",
    )
    began = time.process_time()
    for part in parts:
        for start in ("<rss>", "<rss><item></item>", "<rss><item>"):
            pieces(start + part * 200_000)
    for head in heads:
        header_mark(Pieces(head * 200_000, ("<item></item>",), ""), URL)
    assert time.process_time() - began < 10  # quadratic time would be minutes


def test_what_is_not_known_from_a_reading_changes_nothing() -> None:
    body = rss(item(1), item(2))
    for known in ("", "\n", "x" * 500, "\x00", "0" * 16, read(body).seen[:16], "\n".join(["0" * 16] * 9)):
        parsed = parse_feed(body, URL, "", known)
        assert parsed.whole
        assert titles(parsed) == ["Story 1", "Story 2"]


def test_what_is_known_is_of_no_more_than_so_many_characters() -> None:
    def document(length: int) -> bytes:
        return rss(*(f"<item><guid isPermaLink='false'>{n:0{length}}</guid></item>" for n in range(MOST)))

    assert 0 < len(parse_feed(document(100), URL).seen) <= LONGEST
    assert parse_feed(document(200), URL).seen == ""


# Real documents


def documents(shared_data: Path) -> Iterator[tuple[str, bytes]]:
    for folder in ("feeds", "polls"):
        for path in sorted(path for path in (shared_data / folder).rglob("*") if path.is_file()):
            yield path.name, path.read_bytes()


@pytest.mark.acceptance
@pytest.mark.timeout(600)
def test_every_real_document_says_the_same_whatever_is_known_of_it(shared_data: Path) -> None:
    counts: Counter[str] = Counter()
    chance = random.Random(7)
    for name, body in documents(shared_data):
        whole = parse_feed(body, URL)
        counts["can be cut" if whole.seen else "is read whole"] += 1
        header, *lines = whole.seen.split("\n")
        subsets = [
            lines,
            lines[1:],
            *([line for line in lines if chance.random() < share] for share in (0.1, 0.5, 0.9)),
        ]
        for kept in [kept for kept in subsets if kept]:
            known = "\n".join((header, *kept))
            guids = {place.guid for place in seen(known).items.values()}
            new = tuple(story for story in whole.stories if story.guid not in guids)
            assert parse_feed(body, URL, "", known) == replace(whole, stories=new, whole=False), name
    print(f"{counts.total()} documents: {dict(counts)}")
    assert counts["can be cut"] > 0.85 * counts.total() > 400


@pytest.mark.acceptance
@pytest.mark.parametrize("outlet", ["ft-home", "wsj_world"])
def test_consecutive_polls_give_what_is_new_in_each(shared_data: Path, outlet: str) -> None:
    polls = [path.read_bytes() for path in sorted((shared_data / "polls").glob(f"{outlet}_*.xml"))]
    read_again = 0
    for before, after in pairwise(polls):
        first, whole = parse_feed(before, URL), parse_feed(after, URL)
        found = parse_feed(after, URL, "", first.seen)
        assert not found.whole
        assert replace(found, stories=whole.stories, whole=True) == whole
        # All that is new or changed, and besides it only what changed without a word of the story.
        assert set(whole.stories) - set(first.stories) <= set(found.stories) <= set(whole.stories)
        read_again += len(found.stories)
    print(f"{outlet}: {read_again} of {sum(len(parse_feed(one, URL).stories) for one in polls[1:])} items read")

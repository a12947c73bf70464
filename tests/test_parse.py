from __future__ import annotations

import gzip
import io
import json
import pickle
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import feedparser
import pytest

from monitor.errors import WorkerError
from monitor.parse import ParsedFeed, ParsedStory, as_json, parse_feed
from monitor.parse.dates import parse_date
from monitor.parse.encoding import decode
from monitor.parse.mend import mend
from monitor.parse.plain import from_html
from monitor.workers import Workers

DATA = Path(__file__).parent / "data" / "feeds"
URL = "https://wire.example/feeds/world.xml"


def rss(*items: str, head: str = "") -> bytes:
    inside = "".join(f"<item>{item}</item>" for item in items)
    return f"<rss version='2.0'><channel><title>Northern Wire</title>{head}{inside}</channel></rss>".encode()


def atom(*entries: str) -> bytes:
    inside = "".join(f"<entry>{entry}</entry>" for entry in entries)
    return f"<feed xmlns='http://www.w3.org/2005/Atom'><title>Northern Wire</title>{inside}</feed>".encode()


def stories(body: bytes) -> tuple[ParsedStory, ...]:
    parsed = parse_feed(body, URL, "application/rss+xml")
    assert parsed.readable, parsed.problems
    return parsed.stories


def story(body: bytes) -> ParsedStory:
    (only,) = stories(body)
    return only


# The formats


@pytest.mark.parametrize(
    ("file", "kind"),
    [("rss2.xml", "rss20"), ("atom.xml", "atom10"), ("rdf.xml", "rss10"), ("feed.json", "json")],
)
def test_each_format_says_the_same(file: str, kind: str) -> None:
    parsed = parse_feed((DATA / file).read_bytes(), URL)
    assert (parsed.kind, parsed.title, parsed.url, parsed.language) == (
        kind,
        "Northern Wire",
        "https://wire.example/",
        "en-GB",
    )
    assert parsed.problems == ()
    first, second = parsed.stories
    assert first == ParsedStory(
        guid="tag:wire.example,2026:101",
        url="https://wire.example/2026/harbour?from=feed",
        title="Harbour & rail: strike ends",
        summary="Crews return on Monday. Ferries follow.",
        text="Crews return on Monday, the union said in Port Hale. Ferries follow a day later, when the tide allows.",
        author="Ada Quill",
        published_raw=first.published_raw,
        published=datetime(2026, 11, 24, 9, 30, tzinfo=UTC),
        tags=("Transport", "Strikes"),
        key_url="https://wire.example/2026/harbour?from=feed",
    )
    assert second.title == "Second story"


def test_a_parsed_feed_goes_through_a_pickle_and_into_json() -> None:
    parsed = parse_feed((DATA / "rss2.xml").read_bytes(), URL)
    assert pickle.loads(pickle.dumps(parsed)) == parsed
    printed = json.loads(json.dumps(as_json(parsed)))
    assert set(printed) == {"feed", "stories", "problems"}
    assert printed["feed"] == {
        "title": "Northern Wire",
        "url": "https://wire.example/",
        "language": "en-GB",
        "kind": "rss20",
    }
    assert list(printed["stories"][0]) == ["guid", "url", "title", "summary", "text", "author", "published", "tags"]
    assert printed["stories"][0]["published"] == "2026-11-24T09:30:00Z"
    assert printed["stories"][1]["published"] is None


def test_a_feed_without_stories_is_a_feed() -> None:
    assert parse_feed(rss()).readable
    assert parse_feed(atom()).readable
    assert parse_feed(b'{"version": "https://jsonfeed.org/version/1.1", "items": []}').readable


# What is no feed


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "The document is empty."),
        (b"\xef\xbb\xbf \n\x00", "The document is empty."),
        (b"<!DOCTYPE html><html><body>Please accept</body></html>", "The document is a web page, not a feed."),
        (b'{"error": "not found"}', "The document is JSON, and not a JSON Feed."),
        (b"{broken", "The document is JSON, and not a JSON Feed."),
        (b"[" * 100_000, "The document is not a feed: no RSS, Atom or JSON Feed is in it."),
        (b'{"version":' * 100_000, "The document is JSON, and not a JSON Feed."),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "The document is neither XML nor JSON: binary data."),
        (b"Service temporarily unavailable", "The document is not a feed: it says “Service temporarily unavailable”."),
        (b"<opml><body><outline text='a'/></body></opml>", "The document is not a feed"),
    ],
)
def test_what_is_no_feed_says_what_it_is(body: bytes, reason: str) -> None:
    parsed = parse_feed(body, URL)
    assert not parsed.readable
    assert parsed.problems[0].startswith(reason)
    assert parsed.stories == ()


def test_a_web_page_tells_where_its_feeds_are() -> None:
    page = b"""<html><head><link rel="stylesheet" href="/a.css">
    <link rel="alternate" type="application/rss+xml" href="/world.xml"><link type='application/atom+xml' rel=alternate
    href='https://other.example/atom'></head><body>Northern Wire</body></html>"""
    (problem,) = parse_feed(page, "https://wire.example/news").problems
    assert "https://wire.example/world.xml, https://other.example/atom" in problem
    assert "a.css" not in problem


# Malformed documents


@pytest.mark.parametrize(
    "damage",
    [
        lambda xml: xml.replace(b"Second", b"Tom & Ann, Second"),
        lambda xml: xml[: xml.rindex(b"</channel>")],
        lambda xml: xml.replace(b"Second", b"&nbsp;&eacute; Second"),
        lambda xml: xml.replace(b"Second", b"\x00\x08Second"),
        lambda xml: xml.replace(b"Second", b"&#xD800;&#0;&#99999999999;Second"),
        lambda xml: b"\n\n  " + xml,
        lambda xml: b"<br />\n<b>Warning</b>: a server's own words\n" + xml,
        lambda xml: xml.replace(b"utf-8", b"utf-16"),
        lambda xml: xml.replace(b"utf-8", b"x-klingon"),
        lambda xml: xml.replace(b"utf-8", b"unicode_escape"),
        lambda xml: xml.replace(b"<title>Second", b"<title><b>Second</title><title>"),
        lambda xml: xml + b"<script>alert(1)</script>",
    ],
)
def test_a_malformed_document_keeps_its_stories(damage: object) -> None:
    assert callable(damage)
    found = stories(damage((DATA / "rss2.xml").read_bytes()))
    assert [one.guid for one in found] == ["tag:wire.example,2026:101", "tag:wire.example,2026:102"]
    assert "Second" in found[1].title
    assert found[0].published == datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def test_a_document_says_what_is_wrong_with_it_for_people() -> None:
    (problem,) = parse_feed(rss("<guid>1</guid><title>Tom <br> Ann</title>"), URL).problems
    assert problem.startswith("the document is malformed (")
    assert "what could be read was read" in problem
    assert parse_feed(rss("<guid>1</guid><title>Tom &amp; Ann</title>"), URL, "text/xml").problems == ()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("AT&T wins", "AT&T wins"),
        ("Q&A, R&D; S&P 500 & more", "Q&A, R&D; S&P 500 & more"),
        ("caf&eacute; & bar", "café & bar"),
        ("<![CDATA[AT&T &amp; Q&A]]>", "AT&T & Q&A"),
        ("<!-- R&D -->R&D", "R&D"),
        ("&#00000000000000065;&#;&#x;", "A&#;&#x;"),
    ],
)
def test_a_bare_ampersand_stands_for_itself(written: str, read: str) -> None:
    parsed = parse_feed(
        rss(
            f"<guid>1?a&b</guid><title>{written}</title>"
            "<link>https://wire.example/?a=1&b=2&copy=3&lang=en&amp;x=&eacute</link>"
        ),
        URL,
    )
    assert parsed.problems == ()
    (found,) = parsed.stories
    assert (found.title, found.guid) == (read, "1?a&b")
    assert found.url == "https://wire.example/?a=1&b=2&copy=3&lang=en&x=&eacute"


def test_ampersands_are_mended_in_time_linear_in_their_number() -> None:
    for hostile in ("<![CDATA[", "<!--", "&", "<![CDATA[]]", "<![CDATA[&", "&a", "&#", "&#x", "&#xD83D;", "<![cdata["):
        began = time.process_time()
        mend(hostile * 200_000, 10)
        assert time.process_time() - began < 5, hostile


def test_of_too_many_stories_those_at_both_ends_are_read_and_that_is_said() -> None:
    items = [{"id": str(n), "title": f"Story {n}"} for n in range(5_300)]
    plain = json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": items}).encode()
    for document in (rss(*(f"<guid>{n}</guid><title>Story {n}</title>" for n in range(5_300))), plain):
        parsed = parse_feed(document, URL)
        assert [story.title for story in parsed.stories] == [
            f"Story {n}" for n in (*range(2_500), *range(2_800, 5_300))
        ]
        assert parsed.problems[0].startswith("only the first and last 2500 of 5300 stories") or document is plain
        assert len(parsed.problems) == 1


def test_small_entities_of_a_document_are_resolved_and_big_ones_are_not() -> None:
    head = (
        '<!DOCTYPE rss [<!ENTITY wire "Northern Wire"><!ENTITY bomb "'
        + "x" * 1000
        + '"> <!ENTITY f SYSTEM "file:///etc/passwd">]>'
    )
    body = head.encode() + rss("<guid>1</guid><title>&wire; reports &bomb; &f;</title>")
    assert story(body).title == "Northern Wire reports &bomb; &f;"


# Encodings


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("windows-1251", "Взрыв в порту: двое раненых"),
        ("koi8-r", "Взрыв в порту"),
        ("iso-8859-2", "Wybuch w porcie: żółć"),
        ("gb18030", "港口发生爆炸 㐂"),
        ("shift_jis", "港で爆発"),
        ("iso-2022-jp", "港で爆発"),
        ("euc-kr", "항구 폭발"),
        ("windows-1256", "انفجار في الميناء"),
        ("utf-16", "Взрыв в порту"),
        ("utf-16-le", "Взрыв в порту"),
        ("utf-32", "Взрыв в порту"),
        ("utf-8", "İstanbul’da patlama"),
        ("utf-8-sig", "İstanbul’da patlama"),
    ],
)
@pytest.mark.parametrize("content_type", ["", "text/xml", "application/rss+xml", "text/xml; charset=us-ascii"])
def test_a_document_is_read_in_its_encoding_whatever_the_server_thinks(
    encoding: str, text: str, content_type: str
) -> None:
    xml = f"<?xml version='1.0' encoding='{encoding}'?>" + rss(f"<guid>1</guid><title>{text}</title>").decode()
    (found,) = parse_feed(xml.encode(encoding), URL, content_type).stories
    assert found.title == text


def test_the_servers_charset_counts_where_the_document_names_none() -> None:
    body = rss("<guid>1</guid><title>Взрыв</title>").decode().encode("koi8-r")
    (found,) = parse_feed(body, URL, "text/xml; charset=KOI8-R").stories
    assert found.title == "Взрыв"


def test_utf8_that_is_called_something_else_is_still_utf8() -> None:
    xml = "<?xml version='1.0' encoding='iso-8859-1'?>" + rss("<guid>1</guid><title>Взрыв в порту</title>").decode()
    parsed = parse_feed(xml.encode(), URL)
    assert parsed.stories[0].title == "Взрыв в порту"
    assert parsed.problems == ("the document says that it is in cp1252, and is in UTF-8",)


def test_one_bad_byte_does_not_garble_the_rest() -> None:
    body = rss("<guid>1</guid><title>Взрыв в порту: «двое раненых» @</title>").replace(b"@", b"\x93x\x94")
    assert story(body).title == "Взрыв в порту: «двое раненых» “x”"


def test_every_encoding_of_the_hostile_collection_is_read(shared_data: Path) -> None:
    folder = shared_data / "hostile/encodings"
    expected = json.loads((folder / "expected.json").read_text())
    files = [file for file in folder.glob("*.xml") if expected.get(file.name)]
    assert len(files) > 10
    found = {file.name: parse_feed(file.read_bytes(), URL).stories[0].title for file in files}
    assert found == {file.name: expected[file.name] for file in files}
    for case in json.loads((folder / "http_vs_xml_charset.json").read_text()):
        if case["file"] in expected and (folder / case["file"]).exists():
            (one,) = parse_feed((folder / case["file"]).read_bytes(), URL, case["content_type"]).stories
            assert one.title == expected[case["file"]], case


@pytest.mark.parametrize("codec", ["idna", "punycode", "utf-7", "unicode_escape", "rot13", "zip", "undefined"])
def test_codecs_that_are_no_encoding_of_the_web_are_not_run(codec: str) -> None:
    body = f"<?xml version='1.0' encoding='{codec}'?><rss>+ADw-b+AD4- \\x3cscript\\x3e</rss>".encode()
    assert decode(body)[0] == body.decode()


@pytest.mark.parametrize(
    ("label", "encoding", "text"),
    [
        ("x-sjis", "cp932", "港で爆発①"),
        ("windows-31j", "cp932", "港で爆発①"),
        ("windows-949", "cp949", "항구 폭발"),
        ("ks_c_5601-1989", "cp949", "항구 폭발"),
        ("windows-874", "cp874", "ระเบิดที่ท่าเรือ"),
        ("dos-874", "cp874", "ระเบิดที่ท่าเรือ"),
        ("x-gbk", "gb18030", "港口发生爆炸"),
        ("gb_2312-80", "gb18030", "港口发生爆炸"),
        ("csgb2312", "gb18030", "港口发生爆炸"),
        ("x-big5", "big5", "港口爆炸"),
        ("x-x-big5", "big5", "港口爆炸"),
        ("cn-big5", "big5", "港口爆炸"),
        ("x-euc-jp", "euc_jp", "港で爆発"),
        ("x-mac-cyrillic", "mac-cyrillic", "Взрыв в порту"),
        ("x-mac-roman", "mac-roman", "L’été à Noël"),
        ("x-cp1251", "cp1251", "Взрыв в порту"),
        ("win-1251", "cp1251", "Взрыв в порту"),
        ("windows1251", "cp1251", "Взрыв в порту"),
        ("cp-1251", "cp1251", "Взрыв в порту"),
        ("x-cp1250", "cp1250", "Wybuch: żółć"),
        ("koi", "koi8-r", "Взрыв в порту"),
        ("koi8", "koi8-r", "Взрыв в порту"),
        ("koi8-ru", "koi8-u", "Вибух у порту Її"),
        ("iso88592", "iso8859-2", "Wybuch: żółć"),
        ("iso-8859-8-i", "iso8859-8", "פיצוץ בנמל"),
        ("logical", "iso8859-8", "פיצוץ בנמל"),
        ("visual", "iso8859-8", "פיצוץ בנמל"),
        ("iso-8859-6-e", "iso8859-6", "انفجار"),
    ],
)
def test_encodings_are_known_by_the_names_of_the_web(label: str, encoding: str, text: str) -> None:
    xml = f"<?xml version='1.0' encoding='{label}'?><title>{text}</title>"
    assert decode(xml.encode(encoding)) == (xml, "")


def test_short_utf8_is_not_read_as_the_single_bytes_that_it_is_called() -> None:
    for label in ("iso-8859-1", "windows-1251", "koi8-r", "iso-8859-2"):
        xml = f"<?xml version='1.0' encoding='{label}'?>" + rss("<guid>1</guid><title>It’s here</title>").decode()
        assert story(xml.encode()).title == "It’s here"
    # Two Chinese characters may be valid UTF-8 by chance.
    xml = "<?xml version='1.0' encoding='gbk'?><rss>联通</rss>"
    assert decode(xml.encode("gbk"))[0] == xml


@pytest.mark.parametrize(("encoding", "text"), [("gb2312", "母"), ("cp866", "рав"), ("windows-874", "เขต")])
def test_a_word_that_is_utf8_by_chance_is_read_as_declared(encoding: str, text: str) -> None:
    xml = f"<?xml version='1.0' encoding='{encoding}'?>" + rss(f"<guid>1</guid><title>{text}</title>").decode()
    body = xml.encode("cp874" if encoding == "windows-874" else encoding)
    assert body.decode("utf-8")  # valid, and wrong
    assert parse_feed(body, URL).stories[0].title == text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("iso-8859-1", "à la carte, déjà vu"), ("windows-1251", "Взрыв в порту"), ("shift_jis", "港で爆発")],
)
def test_a_mark_of_utf8_before_something_else_is_not_believed(encoding: str, text: str) -> None:
    xml = f"<?xml version='1.0' encoding='{encoding}'?>" + rss(f"<guid>1</guid><title>{text}</title>").decode()
    parsed = parse_feed(b"\xef\xbb\xbf" + xml.encode(encoding), URL)
    assert parsed.stories[0].title == text
    assert parsed.problems == ("the document's mark says UTF-8, and it is not",)
    unnamed = b"\xef\xbb\xbf" + rss("<guid>1</guid><title>déjà vu</title>").decode().encode("cp1252")
    assert story(unnamed).title == "déjà vu"


def test_a_mark_of_utf8_is_believed_in_spite_of_one_bad_byte_and_of_another_name() -> None:
    xml = "<?xml version='1.0' encoding='windows-1251'?>" + rss("<guid>1</guid><title>Взрыв @</title>").decode()
    assert story(b"\xef\xbb\xbf" + xml.encode().replace(b"@", b"\x96")).title == "Взрыв –"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32"])
@pytest.mark.parametrize("before", ["", "\n", " \r\n\t"])
def test_wide_characters_are_read_without_a_mark_and_after_white_space(encoding: str, before: str) -> None:
    body = before + rss("<guid>1</guid><title>Взрыв</title>").decode()
    assert story(body.encode(encoding)).title == "Взрыв"
    items = '{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "title": "Взрыв"}]}'
    assert story((before + items).encode(encoding)).title == "Взрыв"
    page = "<!DOCTYPE html><html><head><title>Взрыв</title></head></html>"
    assert "web page" in parse_feed((before + page).encode(encoding)).problems[0]


def test_a_json_feed_in_windows_1252_is_read_and_that_is_said() -> None:
    feed = '{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "title": "déjà vu"}]}'
    for mark in (b"", b"\xef\xbb\xbf"):
        parsed = parse_feed(mark + feed.encode("cp1252"))
        assert parsed.stories[0].title == "déjà vu"
        assert parsed.problems == ("the document's encoding is unknown; it was read as windows-1252",)


# Titles and texts


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("AT&amp;T deal", "AT&T deal"),
        ("AT&amp;amp;T &amp;lt;deal&amp;gt;", "AT&T <deal>"),
        ("<![CDATA[Rates &lt;b&gt;rise&lt;/b&gt; &#8211; again]]>", "Rates rise – again"),
        ("<![CDATA[<b>Rates</b> rise]]>", "Rates rise"),
        ("if a &lt; b and c &gt; d", "if a < b and c > d"),
        ("<![CDATA[a < b]]>", "a < b"),
        ("I &lt;3 Paris", "I <3 Paris"),
        ("Use of &lt;blink&gt; tags", "Use of <blink> tags"),
        ("two\n  lines", "two lines"),
        ("&lt;![CDATA[Hello]]&gt;", "Hello"),
        ("<![cdata[Hello]]>", "Hello"),
        ("&#xD83D;&#xDE00; one", "😀 one"),
        ("<![CDATA[&#55357;&#56832; two]]>", "😀 two"),
        ("&amp;#xD83D;&amp;#xDE00; three", "😀 three"),
        ("a&#13;&#10;Bcc: x@evil.test", "a Bcc: x@evil.test"),
        ("caf&eacute; &nbsp; L&apos;Aube", "café L'Aube"),
        ("Invoice \u202egpj.exe", "Invoice gpj.exe"),
    ],
)
def test_a_title_is_the_words_that_readers_see(title: str, said: str) -> None:
    assert story(rss(f"<guid>1</guid><title>{title}</title>")).title == said


def test_an_atom_title_is_read_by_its_type() -> None:
    found = stories(
        atom(
            "<id>1</id><title type='html'>AT&amp;amp;T &lt;b&gt;x&lt;/b&gt;</title>",
            "<id>2</id><title>AT&amp;T and a &lt; b</title>",
            "<id>3</id><title type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'>one <em>two</em></div></title>",
        )
    )
    assert [one.title for one in found] == ["AT&T x", "AT&T and a < b", "one two"]
    text = "<title type='text'>Tom &amp; Ann on &lt;b&gt; and &lt;i&gt;</title>"
    assert story(atom(f"<id>4</id>{text}")).title == "Tom & Ann on <b> and <i>"


def test_scripts_styles_and_comments_are_no_text_and_blocks_part_words() -> None:
    html = "<p>One</p><p>two<br>three</p><style>p{}</style><script>alert('x')</script><!-- no --><img alt='a > b'>four"
    assert story(rss(f"<guid>1</guid><title>T</title><description><![CDATA[{html}]]></description>")).summary == (
        "One two three four"
    )


def test_a_dropped_element_that_is_closed_at_once_takes_no_text_with_it() -> None:
    for tag in ("<iframe src='https://wire.example/v'/>", "<svg/>", "<script src='x' />", "<SVG class='a'/>"):
        assert from_html(f"<p>before {tag} after</p>", 100) == "before after"
    assert from_html("a <script>x</script> b <style>y", 100) == "a b"


@pytest.mark.parametrize("form", ["{}", "<![CDATA[{}]]>"])
@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("How to use <script> tags safely", "How to use <script> tags safely"),
        ("How to use <script> tags & more", "How to use <script> tags & more"),
        ("<b>SVG</b>: why <svg> and <style> matter", "SVG: why <svg> and <style> matter"),
        ("Rates <style>b { color: red }</style>rise<script/>", "Rates rise"),
    ],
)
def test_a_title_that_names_a_tag_is_not_cut_there(title: str, said: str, form: str) -> None:
    written = form.format(title if "CDATA" in form else title.replace("&", "&amp;").replace("<", "&lt;"))
    assert story(rss(f"<guid>1</guid><title>{written}</title>")).title == said
    assert story(atom(f"<id>1</id><title type='html'>{written}</title>")).title == said


def test_a_pictures_caption_is_no_summary_unless_there_is_no_other() -> None:
    media = (
        "<media:content xmlns:media='http://search.yahoo.com/mrss/'><media:description>A crane.</media:description>"
        "</media:content>"
    )
    words = "<description>Strike ends.</description>"
    before, after, only = stories(
        rss(f"<guid>1</guid>{media}{words}", f"<guid>2</guid>{words}{media}", f"<guid>3</guid>{media}")
    )
    assert (before.summary, before.text) == (after.summary, after.text) == ("Strike ends.", "")
    assert only.summary == "A crane."


def test_a_title_is_made_of_the_text_where_there_is_none() -> None:
    words = (
        "The ferry to Port Hale will not sail today, the harbour master said, because of high winds and a broken crane."
    )
    made = story(rss(f"<guid>1</guid><description>{words}</description>")).title
    assert made.endswith("…")
    assert words.startswith(made[:-1])
    assert 60 < len(made) <= 100
    assert words[len(made) - 1] in " ,"  # on a word
    assert story(rss("<guid>1</guid><link>https://wire.example/a</link>")).title == "https://wire.example/a"


def test_the_longer_text_is_the_body_and_a_copy_of_the_summary_is_none() -> None:
    content = "<content:encoded xmlns:content='http://purl.org/rss/1.0/modules/content/'>{}</content:encoded>"
    both = story(rss(f"<guid>1</guid><description>Short.</description>{content.format('Short. And long.')}"))
    same = story(rss(f"<guid>1</guid><description>Short.</description>{content.format('Short.')}"))
    assert (both.summary, both.text) == ("Short.", "Short. And long.")
    assert (same.summary, same.text) == ("Short.", "")


def test_what_is_long_is_cut() -> None:
    found = story(
        rss(
            f"<guid>{'g' * 5_000}</guid><title>{'t ' * 5_000}</title><description>{'s ' * 50_000}</description>"
            f"<author>{'a' * 50_000}</author><content:encoded xmlns:content='http://purl.org/rss/1.0/modules/content/'>"
            f"{'c ' * 500_000}</content:encoded>" + "".join(f"<category>{n}</category>" for n in range(500))
        )
    )
    assert len(found.guid) == 2_000
    assert 900 < len(found.title) <= 1_000
    assert 19_000 < len(found.summary) <= 20_000
    assert 190_000 < len(found.text) <= 200_000
    assert len(found.author) <= 512
    assert len(found.tags) == 30


def test_html_takes_time_linear_in_its_length() -> None:
    for hostile in (
        "<div>",
        "<!--",
        "<a href='x",
        "<script>",
        "<script",
        "</script ",
        "<script/",
        "<script /><svg>",
        "<",
        "&",
        "&amp;",
        "<a \"'",
    ):
        began = time.process_time()
        from_html(hostile * 100_000, 200_000)
        from_html(hostile * 100_000, 200_000, title=True)
        assert time.process_time() - began < 5, hostile


# Identity


def test_a_guid_is_kept_as_published_and_a_permalink_stands_in_for_the_link() -> None:
    relative, permalink, plain = stories(
        rss(
            "<guid>item/7</guid><title>a</title>",
            "<guid>https://wire.example/b</guid><title>b</title>",
            "<guid isPermaLink='false'>urn:7</guid><link>/c</link><title>c</title>",
        )
    )
    assert (relative.guid, relative.url) == ("item/7", "")
    assert (permalink.guid, permalink.url) == ("https://wire.example/b", "https://wire.example/b")
    assert (plain.guid, plain.url) == ("urn:7", "https://wire.example/c")


def test_a_guid_that_is_a_path_stands_in_for_the_link_on_the_site_itself() -> None:
    items = [
        "<guid isPermaLink='true'>/blog/9</guid><title>a</title>",
        "<guid>/blog/8</guid><title>b</title>",
        "<guid isPermaLink='false'>/blog/7</guid><title>c</title>",
        "<guid>/blog/6</guid><link>/news/6</link><title>d</title>",
        "<guid>/</guid><title>e</title>",
    ]
    found = stories(rss(*items, head="<link>https://site.example/blog</link>"))
    assert [one.guid for one in found] == ["/blog/9", "/blog/8", "/blog/7", "/blog/6", "/"]
    assert [one.url for one in found] == [
        *("https://site.example/blog/9", "https://site.example/blog/8", ""),
        *("https://wire.example/news/6", "https://site.example/"),
    ]
    entry = story(atom("<id>/t/378265</id><title>a</title>"))
    assert (entry.guid, entry.url) == ("/t/378265", "https://wire.example/t/378265")


def test_without_a_guid_the_link_and_without_a_link_the_words_name_a_story() -> None:
    link, words = stories(rss("<link>https://wire.example/a</link><title>a</title>", "<title>only a title</title>"))
    assert link.guid == "https://wire.example/a"
    assert words.guid.startswith("hash:")
    assert words.key_url == ""
    assert stories(rss("<title>only a title</title>"))[0].guid == words.guid


def test_different_stories_under_one_guid_all_stay() -> None:
    found = stories(
        rss(
            "<guid isPermaLink='false'>same</guid><link>https://wire.example/a</link><title>a</title>",
            "<guid isPermaLink='false'>same</guid><link>https://wire.example/b</link><title>b</title>",
            "<guid isPermaLink='false'>live</guid><link>https://wire.example/live</link><title>c</title>",
            "<guid isPermaLink='false'>live</guid><link>https://wire.example/live</link><title>d</title>",
            "<link>https://wire.example/page</link><title>e</title>",
            "<link>https://wire.example/page</link><title>f</title>",
            "<guid isPermaLink='false'>copy</guid><link>https://wire.example/g</link><title>g</title>",
            "<guid isPermaLink='false'>copy</guid><link>https://wire.example/g</link><title>g</title>",
        )
    )
    assert [one.title for one in found] == ["a", "b", "c", "d", "e", "f", "g"]
    assert len({one.guid for one in found}) == 7
    assert found[0].guid == "same|https://wire.example/a"
    assert found[6].guid == "copy"


def test_a_link_shared_by_stories_or_with_the_front_page_is_no_key() -> None:
    found = stories(
        rss(
            "<guid isPermaLink='false'>1</guid><link>https://wire.example/live?utm_source=x</link><title>a</title>",
            "<guid isPermaLink='false'>2</guid><link>https://wire.example/live</link><title>b</title>",
            "<guid isPermaLink='false'>3</guid><link>https://wire.example/</link><title>c</title>",
            "<guid isPermaLink='false'>4</guid><link>http://www.wire.example/own?utm_source=x</link><title>d</title>",
            head="<link>https://wire.example</link>",
        )
    )
    assert [one.key_url for one in found] == ["", "", "", "https://wire.example/own"]


def test_links_that_are_not_web_addresses_are_dropped() -> None:
    for link in ("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//", "http://[x"):
        assert story(rss(f"<guid isPermaLink='false'>1</guid><link>{link}</link><title>a</title>")).url == ""


def test_an_atom_story_links_to_its_page_not_to_its_comments_or_itself() -> None:
    links = (
        "<link rel='self' href='https://wire.example/a.atom'/><link rel='replies' href='https://wire.example/a#c'/>"
        "<link rel='enclosure' href='https://wire.example/a.mp3'/><link rel='alternate' href='a.html'/>"
    )
    found = story(
        atom(f"<id>1</id><title>a</title>{links}").replace(b"<feed ", b"<feed xml:base='https://wire.example/x/' ")
    )
    assert found.url == "https://wire.example/x/a.html"


def test_relative_links_of_a_document_without_an_address_lead_from_what_it_says_of_itself() -> None:
    entry = "<link rel='self' href='https://wire.example/x/feed.xml'/><entry><id>1</id><link href='a.html'/></entry>"
    (found,) = parse_feed(f"<feed xmlns='http://www.w3.org/2005/Atom'>{entry}</feed>".encode()).stories
    assert found.url == "https://wire.example/x/a.html"


def test_a_storys_own_language_is_told_and_the_documents_is_not_repeated() -> None:
    first, second = stories(
        atom("<id>1</id><title>a</title>", "<id>2</id><title xml:lang='fr'>b</title>").replace(
            b"<feed ", b"<feed xml:lang='en' "
        )
    )
    assert (first.language, second.language) == ("", "fr")


# Dates


@pytest.mark.parametrize(
    ("raw", "utc"),
    [
        ("Tue, 24 Nov 2026 10:00:00 GMT", "2026-11-24 10:00"),
        ("Tue, 24 Nov 2026 10:00:00 +0530", "2026-11-24 04:30"),
        ("Tue,24 Nov 2026 10:00:00 -0500", "2026-11-24 15:00"),
        ("24 Nov 26 10:00 UT", "2026-11-24 10:00"),
        ("Tue, 24 Nov 2026 23:59:60 GMT", "2026-11-25 00:00"),
        ("2026-11-24T10:00:00.123Z", "2026-11-24 10:00"),
        ("2026-11-24T24:00:00Z", "2026-11-25 00:00"),
        ("2026-11-24 10:00:00", "2026-11-24 10:00"),
        ("20261124T100000Z", "2026-11-24 10:00"),
        ("2026-W48-2", "2026-11-24 00:00"),
        ("2026-328", "2026-11-24 00:00"),
        ("2026/6/29", "2026-06-29 00:00"),
        ("24/11/2026", "2026-11-24 00:00"),
        ("11/24/2026 4:05 PM", "2026-11-24 16:05"),
        ("24.11.2026 10:00 Uhr", "2026-11-24 10:00"),
        ("1795514400", "2026-11-24 10:00"),
        ("1795514400000", "2026-11-24 10:00"),
        ("Tue, 24 Nov 2026 10:00:00 CET", "2026-11-24 09:00"),
        ("Tue, 24 Nov 2026 10:00:00 BST", "2026-11-24 09:00"),
        ("Tue, 24 Nov 2026 10:00:00 IST", "2026-11-24 04:30"),
        ("Tue, 24 Nov 2026 10:00:00 AEST", "2026-11-24 00:00"),
        ("Tue, 24 Nov 2026 10:00:00 EST5EDT", "2026-11-24 15:00"),
        ("Tue, 24 Nov 2026 10:00:00 GMT+3", "2026-11-24 07:00"),
        ("Tue, 24 Nov 2026 10:00:00 Europe/Berlin", "2026-11-24 09:00"),
        ("Tue, 24 Nov 2026 10:00:00 Nowhere/Land", "2026-11-24 10:00"),
        ("Tue, 24 Nov 2026 10:00:00 +9999", "2026-11-24 10:00"),
        ("Di, 24 Nov 2026 10:00:00 +0100", "2026-11-24 09:00"),
        ("Dienstag, 24. März 2026", "2026-03-24 00:00"),
        ("mar. 24 novembre 2026 10:00", "2026-11-24 10:00"),
        ("martes, 24 de noviembre de 2026", "2026-11-24 00:00"),
        ("вт, 24 ноя 2026 10:00:00 +0300", "2026-11-24 07:00"),
        ("2026年11月24日 10:00", "2026-11-24 10:00"),
        ("2026년 11월 24일", "2026-11-24 00:00"),
        ("２０２６-１１-２４", "2026-11-24 00:00"),
        ("November 24, 2026 10:00 AM EST", "2026-11-24 15:00"),
        ("Tue Nov 24 10:00:00 2026", "2026-11-24 10:00"),
        ("10:00 24 Nov 2026", "2026-11-24 10:00"),
        ("10:00, 24 November 2026", "2026-11-24 10:00"),
        ("2026-november-24T10:00+01:00", "2026-11-24 09:00"),
        ("2026. november 24, kedd", "2026-11-24 00:00"),
        ("2026-11-24t10:00:00z", "2026-11-24 10:00"),
        ("2026-11-24T10:00:0+01:00", "2026-11-24 09:00"),
        ("20261124100000", "2026-11-24 10:00"),
        ("2026-11", "2026-11-01 00:00"),
        ("2026", "2026-01-01 00:00"),
        ("2026-11-24T10:00:00−05:00", "2026-11-24 15:00"),
        ("2026–11–24", "2026-11-24 00:00"),
        ("2026-11-24 오후 01:31:00", "2026-11-24 13:31"),
        ("2026年11月24日 上午10:00", "2026-11-24 10:00"),
        ("2026年11月24日10时00分", "2026-11-24 10:00"),
        ("Fri, 05/03/2019 - 15:21", "2019-05-03 15:21"),
        ("Tue, 05/03/2019 - 15:21", "2019-03-05 15:21"),
        ("2026/1/6 9:5:0", "2026-01-06 09:05"),
        ("24-11-2026", "2026-11-24 00:00"),
        ("24.11.26", "2026-11-24 00:00"),
        ("24th November 2026", "2026-11-24 00:00"),
        ("Tue, 24 Nov 2026 at 10:00", "2026-11-24 10:00"),
        ("mardi 24 novembre 2026 à 10h30", "2026-11-24 10:30"),
        ("24 ноября 2026 г. 10:00", "2026-11-24 10:00"),
        ("maandag 6 januari 2025", "2025-01-06 00:00"),
        ("Pzt, 06 Oca 2025 10:00:00 +0300", "2025-01-06 07:00"),
        ("6 Ocak 2025 Pazartesi", "2025-01-06 00:00"),
        ("пн, 06 січ 2025 10:00:00 +0200", "2025-01-06 08:00"),
        ("6. ledna 2025", "2025-01-06 00:00"),
        ("6 ianuarie 2025", "2025-01-06 00:00"),
        ("måndag 6 januari 2025", "2025-01-06 00:00"),
        ("6. tammikuuta 2025", "2025-01-06 00:00"),
        ("الاثنين، 6 يناير 2025", "2025-01-06 00:00"),
        ("6 tháng 1, 2025", "2025-01-06 00:00"),
        ("4:05 PM EST - November 24, 2026", "2026-11-24 21:05"),
        ("202611241000", "2026-11-24 10:00"),
        ("20261124", "2026-11-24 00:00"),
        ("1795514400.25", "2026-11-24 10:00"),
        ("06-01-2026", "2026-01-06 00:00"),
        ("06.01.72", "1972-01-06 00:00"),
        ("November 1st, 2026", "2026-11-01 00:00"),
        ("Tue, 24 Nov 2026 10.00.00 GMT", "2026-11-24 10:00"),
        ("24 Nov 2026 10:00:00.123 p.m.", "2026-11-24 22:00"),
        ("вт, 24 лис 2026 10:00:00 +0200", "2026-11-24 08:00"),
        ("2026年11月24日 下午 1時31分15秒", "2026-11-24 13:31"),
        ("2026. 11. 24. 오후 1:31", "2026-11-24 13:31"),
        ("6 Ocak 2026 Salı 10:00", "2026-01-06 10:00"),
        ("tisdag 6 januari 2026", "2026-01-06 00:00"),
        ("6. tammikuuta 2026 klo 10.00", "2026-01-06 10:00"),
        ("2026. november 24., kedd", "2026-11-24 00:00"),
        ("hétfő, szeptember 06. 2027", "2027-09-06 00:00"),
        ("24 tháng 11, 2026", "2026-11-24 00:00"),
        ("Thứ Ba, ngày 24 tháng 11 năm 2026", "2026-11-24 00:00"),
        ("6 Ocak 2026 saat 10:00", "2026-01-06 10:00"),
        ("6 января 2026 в 10:00", "2026-01-06 10:00"),
        ("dinsdag 6 januari 2026 om 10:00", "2026-01-06 10:00"),
        ("Sat, 12 Jul 1975 10:00:00 GMT", "1975-07-12 10:00"),
    ],
)
def test_a_date_is_understood_in_the_forms_that_feeds_use(raw: str, utc: str) -> None:
    found = parse_date(raw)
    assert found is not None
    assert f"{found:%Y-%m-%d %H:%M}" == utc


@pytest.mark.parametrize(
    "raw",
    [
        *("", "now", "yesterday", "inf", "NaN", "-1", "0", "99999999999999999999", "9" * 500, "(" * 500),
        *("Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "0000-00-00T00:00:00Z"),
        *("Thu, 30 Feb 2027 10:00:00 GMT", "Mon, 06 Sep 2027 25:61:61 GMT", "-0001-01-01T00:00:00Z"),
        *("Wed, 31 Dec 1969 19:00:00 EST", "1970-01-01T03:00:00Z", "Mon, 06 Jan 125 10:00:00 GMT", "2101-01-01"),
    ],
)
def test_what_is_no_plausible_date_is_none(raw: str) -> None:
    assert parse_date(raw) is None
    kept = story(rss(f"<guid>1</guid><title>a</title><pubDate>{raw}</pubDate>"))
    assert kept.published is None
    assert kept.published_raw == raw[:200]


def test_a_date_in_words_is_read_by_feedparser_where_we_cannot_and_it_did_not_guess() -> None:
    otherwise = datetime(2026, 11, 24, tzinfo=UTC)
    assert parse_date("the 24th day of November, 2026", otherwise) == otherwise
    # The day may be another in the publisher's zone.
    assert parse_date("the 23rd day of November, 2026, -1400", otherwise) == otherwise
    # It fills the gaps of what it does not understand with today's date.
    for guessed in ("the 6th day of November, 2025", "the 6th day of November, 2026", "2026-W", "24, 2026"):
        assert parse_date(guessed, otherwise) is None
    assert parse_date("year 9999, 31", datetime(9999, 12, 31, 23, tzinfo=UTC)) is None


def test_a_date_takes_time_linear_in_its_length() -> None:
    began = time.process_time()
    parts = ("1", "1 ", "a ", "1:", "(", "(a)", "1-", "de ", "오후", "\u2212", "오후1:", "1.1.", "at ", "12 tháng ")
    for hostile in parts:
        for start in ("", "1 Jan 2026 ", "2026-01-01", "Fri, 05/03/2019 ", "10:10 ", "a "):
            parse_date(start + hostile * 1_000)
            parse_date((start + hostile * 100)[:99] + "!")
    assert time.process_time() - began < 1


def test_the_first_date_of_an_entry_that_is_one_counts() -> None:
    dates = "<published>soon</published><updated>2026-11-24T10:00:00Z</updated>"
    assert story(atom(f"<id>1</id><title>a</title>{dates}")).published == datetime(2026, 11, 24, 10, tzinfo=UTC)
    assert story(atom("<id>1</id><title>a</title><published>soon</published>")).published_raw == "soon"


def test_no_date_of_the_hostile_collection_loses_its_story(shared_data: Path) -> None:
    body = (shared_data / "hostile/dates/all_dates.xml").read_bytes()
    assert len(stories(body)) == body.count(b"<item>")


def test_a_story_without_publication_date_has_that_of_its_last_change() -> None:
    assert story(atom("<id>1</id><title>a</title><updated>2026-11-24T10:00:00Z</updated>")).published == datetime(
        2026, 11, 24, 10, tzinfo=UTC
    )


# JSON Feed


def test_a_json_feed_with_odd_values_keeps_its_stories() -> None:
    items = (
        '{"id": 7, "title": "number"}, {"id": ' + "9" * 6_000 + ', "title": "big"}, null, 3,'
        '{"id": "s", "title": "lone \\ud800 surrogate", "tags": ["x", 3], "authors": "nobody", "content_text": "a < b"}'
    )
    parsed = parse_feed(f'{{"version": "https://jsonfeed.org/version/1.1", "items": [{items}]}}'.encode())
    assert [one.title for one in parsed.stories] == ["number", "big", "lone surrogate"]
    assert [one.guid[:3] for one in parsed.stories] == ["7", "999", "s"]
    assert (parsed.stories[2].summary, parsed.stories[2].tags) == ("a < b", ("x",))
    assert parsed.problems == ("only 3 of 5 stories are read",)


def test_a_json_feed_names_its_authors_and_dates_in_many_ways() -> None:
    items = (
        '{"id": "1", "title": "a"}, {"id": "2", "author": "Bob"}, {"id": "3", "authors": [{"name": "Eve"}, "Al"]},'
        '{"id": "4", "date_published": "soon", "date_modified": "2026-11-24T10:00:00Z"},'
        '{"id": "5", "title": "b\tc\x01"}'
    )
    head = '"version": "https://jsonfeed.org/version/1.1", "authors": [{"name": "Northern Wire"}]'
    found = stories(f'{{{head}, "items": [{items}]}}'.encode())
    assert [one.author for one in found] == ["Northern Wire", "Bob", "Eve, Al", "Northern Wire", "Northern Wire"]
    assert found[3].published == datetime(2026, 11, 24, 10, tzinfo=UTC)
    assert found[4].title == "b c"


# News sitemaps


def sitemap(*pages: str, news: str = "xmlns:n='http://www.google.com/schemas/sitemap-news/0.9'") -> bytes:
    inside = "".join(f"<url>{page}</url>" for page in pages)
    return f"<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9' {news}>{inside}</urlset>".encode()


def page(number: int, title: str, language: str = "en") -> str:
    return (
        f"<loc> https://wire.example/{number} </loc><lastmod>2026-11-25</lastmod><n:news><n:publication>"
        f"<n:name>Northern Wire</n:name><n:language>{language}</n:language></n:publication>"
        f"<n:publication_date>2026-11-24T10:00:00+01:00</n:publication_date><n:title>{title}</n:title>"
        "<n:keywords>Ships, Ports &amp; tides,</n:keywords></n:news>"
    )


def test_a_news_sitemap_is_a_feed() -> None:
    parsed = parse_feed(
        sitemap(page(1, "Harbour & rail: strike ends"), "<loc>https://wire.example/about</loc>", page(2, "Fin", "fr")),
        "https://wire.example/news.xml",
        "application/xml",
    )
    assert (parsed.kind, parsed.title, parsed.language, parsed.problems) == ("sitemap", "Northern Wire", "en", ())
    first, second = parsed.stories
    assert first == ParsedStory(
        guid="https://wire.example/1",
        url="https://wire.example/1",
        title="Harbour & rail: strike ends",
        published_raw="2026-11-24T10:00:00+01:00",
        published=datetime(2026, 11, 24, 9, tzinfo=UTC),
        tags=("Ships", "Ports & tides"),
        key_url="https://wire.example/1",
    )
    assert (second.title, second.language) == ("Fin", "fr")
    assert parse_feed(sitemap(), URL).readable


@pytest.mark.parametrize(
    "body",
    [
        sitemap("<loc>https://wire.example/about</loc>"),
        sitemap(news=""),
        b"<urlset><url>" * 50_000,
    ],
)
def test_other_sitemaps_hold_no_stories(body: bytes) -> None:
    parsed = parse_feed(body, URL)
    assert not parsed.readable
    assert parsed.problems[0].startswith("The document is a sitemap without news tags")


def test_a_malformed_or_endless_news_sitemap_keeps_what_can_be_read() -> None:
    cut = parse_feed(sitemap(page(1, "One"), page(2, "Two"))[:-30], URL)
    assert [one.title for one in cut.stories] == ["One"]
    assert cut.problems[0].startswith("the document is malformed (")
    long = parse_feed(sitemap(*(page(n, f"Story {n}") for n in range(2_100))), URL)
    assert (len(long.stories), long.problems) == (2_000, ("only the first and last 1000 of 2100 stories are read",))
    entity = b"<!DOCTYPE urlset [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>" + sitemap(page(1, "&b; &lt;3"))
    assert story(entity).title == "&b; <3"


# Safety


def test_bytes_that_name_a_file_are_not_opened(tmp_path: Path) -> None:
    secret = tmp_path / "feed.xml"
    secret.write_bytes(rss("<guid>1</guid><title>secret</title>"))
    assert not parse_feed(str(secret).encode()).readable


def test_hostile_repetition_does_not_take_quadratic_time() -> None:
    began = time.process_time()
    stories(rss(f"<guid>1</guid><title>a</title><author>{'a' * 200_000}</author>"))
    stories(rss("<guid>1</guid><title>a</title>" + "".join(f"<category>{n}</category>" for n in range(20_000))))
    stories(rss("<guid>1</guid><title>a</title><description>" + "&lt;!--" * 50_000 + "</description>"))
    stories(rss(f"<guid>1</guid><title>a{'́' * 100_000}</title>"))
    attributes = " ".join(f"a{n}='x'" for n in range(100_000))
    assert story(rss(f"<guid isPermaLink='false' {attributes}>1</guid><title>a</title>")).guid == "1"
    stories(rss("<guid>1</guid><title>" + "&#xD83D;" * 100_000 + "</title>"))
    assert time.process_time() - began < 10


@pytest.mark.acceptance
async def test_every_hostile_document_ends_with_a_result_or_a_worker_error(shared_data: Path) -> None:
    folders = ("feeds_illformed", "feeds_huge", "xml_bombs", "encodings", "unicode", "xss", "dates")
    files = [file for name in folders for file in sorted((shared_data / "hostile" / name).iterdir()) if file.is_file()]
    assert len(files) > 50
    workers = Workers(2)
    try:
        for file in files:
            body = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            try:
                parsed = await workers.run(parse_feed, body, URL, "", timeout=10)
            except WorkerError:
                continue
            assert isinstance(parsed, ParsedFeed)
            json.dumps(as_json(parsed)).encode()  # no lone surrogates
            assert parsed.readable or parsed.problems
    finally:
        workers.close()


def plain_entries(body: bytes) -> int:
    """How many different entries feedparser finds when it is called plainly."""
    try:
        found = feedparser.parse(
            io.BytesIO(body), response_headers={}, sanitize_html=False, resolve_relative_uris=False
        )
    except Exception:  # noqa: BLE001 - it raises anything; then it finds none
        return 0
    return len({(e.get("id"), e.get("link"), e.get("title"), e.get("summary")) for e in found.entries})


def compare(file: str) -> tuple[str, int, int, str]:
    body = Path(file).read_bytes()
    parsed = parse_feed(body, URL)
    return file, len(parsed.stories), plain_entries(body), " ".join(parsed.problems)


@pytest.mark.acceptance
def test_no_real_document_has_fewer_stories_than_feedparser_finds(shared_data: Path) -> None:
    folders = (shared_data / "feeds", shared_data / "polls")
    files = [
        str(file)
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.stat().st_size < 400_000  # the few larger ones take as long as all others
    ]
    assert len(files) > 400
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(compare, files, chunksize=8))
    assert [one for one in found if one[1] < one[2]] == []
    json_feeds = [one for one in found if one[0].endswith(".json") and one[1] > 0]
    assert len(json_feeds) > 5

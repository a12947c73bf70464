"""OPML in and out: what readers of news export becomes a feeds.yaml that loads, and nothing is left out unsaid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import Config
from monitor.errors import InputError
from monitor.opml import FeedList, as_yaml, is_opml, read_opml, write_opml
from tests import make

LIST = """<?xml version="1.0" encoding="UTF-8"?>
<opml version="1.1">
  <head><title>Subscriptions</title></head>
  <body>
    <outline text="Europe">
      <outline text="Norway" title="Norge">
        <outline type="rss" text="Wire" title="Northern Wire" xmlUrl="https://wire.example/rss?a=1&b=2" language="nb"/>
      </outline>
      <outline type="rss" text="Wire" xmlUrl="https://post.example/feed" category="/Press/Daily,sea"/>
    </outline>
    <outline text="Northern Wire" xmlurl="feed://blog.example/atom.xml" language="unknown"/>
    <outline text="Wire again" xmlUrl="https://wire.example/rss?a=1&amp;b=2" category="again"/>
    <outline text="A page" type="link" url="https://page.example/"/>
    <outline text="A site" htmlUrl="https://site.example/"/>
    <outline text="Empty folder"/>
    <outline text="Files" xmlUrl="file:///etc/passwd"/>
    <outline text="Secret" xmlUrl="https://user:hunter2@wire.example/rss"/>
    <outline xmlUrl="https://nameless.example/rss"/>
  </body>
</opml>
"""


def loaded(folder: Path, found: FeedList) -> Config:
    return make.config(folder, feeds=as_yaml(found.feeds))


def facts_of(config: Config) -> dict[str, dict[str, Any]]:
    return {name: feed.model_dump() for name, feed in config.feeds.items()}


def of(*outlines: str, head: str = "") -> FeedList:
    return read_opml(f"{head}<opml version='2.0'><body>{''.join(outlines)}</body></opml>".encode())


def outline(title: str, url: str = "https://wire.example/rss", more: str = "") -> str:
    return f'<outline text="{title}" xmlUrl="{url}" {more}/>'


def test_a_list_of_feeds_becomes_a_file_that_loads(tmp_path: Path) -> None:
    found = read_opml(LIST.encode())
    assert found.feeds == {
        "northern-wire": {
            "url": "https://wire.example/rss?a=1&b=2",
            "source": "Northern Wire",
            "language": "nb",
            "tags": ["Europe", "Norge", "again"],
        },
        "wire": {"url": "https://post.example/feed", "source": "Wire", "tags": ["Europe", "Press", "Daily", "sea"]},
        "northern-wire-2": {"url": "http://blog.example/atom.xml", "source": "Northern Wire"},
        "nameless-example": {"url": "https://nameless.example/rss"},
    }
    config = loaded(tmp_path, found)
    assert config.problems == ()
    assert {name: feed.address for name, feed in config.feeds.items()} == {
        name: facts["url"] for name, facts in found.feeds.items()
    }


def test_what_is_left_out_or_put_together_is_said_with_its_line() -> None:
    assert read_opml(LIST.encode()).notes == [
        "line 12: “Wire again”: it has the address of `northern-wire`, which has its tags now",
        "line 13: “A page”: it leads to https://page.example/, which may be another list or a page: "
        "`monitor import opml https://page.example/`",
        "line 14: “A site”: it names no feed; `monitor import opml https://site.example/` looks for one",
        "line 15: “Empty folder”: it names no feed",
        "line 16: “Files”: the address is not http:// or https://; it is left out",
        "line 17: “Secret”: the address holds a user name or password; it is left out",
    ]
    assert "hunter2" not in "".join(read_opml(LIST.encode()).notes)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("BBC News — World", "bbc-news-world"),
        ("Новости мира", "новости-мира"),
        ("新华网 国际", "新华网-国际"),
        ("Le Monde.fr : À la une", "le-monde-fr-à-la-une"),
        ("ＮＨＫニュース", "nhkニュース"),
        ("अमर उजाला", "wire-example"),  # its signs are no letters, and without them it would be another word
        ("🔥🔥", "wire-example"),
        ("../../etc/passwd", "etc-passwd"),
        ("x" * 300, "x" * 40),
        ("_file", "file"),
        ("no", "no"),
        ("", "wire-example"),
    ],
)
def test_names_are_readable_in_any_script(tmp_path: Path, title: str, name: str) -> None:
    found = of(outline(title))
    assert list(found.feeds) == [name]
    assert list(loaded(tmp_path, found).feeds) == [name]


def test_names_are_unique() -> None:
    found = of(*(outline("Wire", f"https://wire.example/{n}") for n in range(3)))
    assert list(found.feeds) == ["wire", "wire-2", "wire-3"]


@pytest.mark.parametrize(
    ("declared", "encoded"),
    [("iso-8859-1", "cp1252"), ("utf-8", "utf-8"), ("utf-16", "utf-16"), ("utf-8", "cp1252"), ("koi8-r", "utf-8")],
)
def test_a_list_is_read_in_its_encoding_whatever_it_says(declared: str, encoded: str) -> None:
    text = f"<?xml version='1.0' encoding='{declared}'?><opml><body>{outline('Süddeutsche „Zeitung“')}</body></opml>"
    (facts,) = read_opml(text.encode(encoded)).feeds.values()
    assert facts["source"] == "Süddeutsche „Zeitung“"


def test_variables_in_a_strangers_list_are_none_of_ours(tmp_path: Path) -> None:
    found = of(outline("${HOME} news", "https://wire.example/?x=${MAIL_PASSWORD}", 'category="${HOME}"'))
    (feed,) = loaded(tmp_path, found).feeds.values()
    assert (feed.url, feed.source, feed.tags) == (
        "https://wire.example/?x=$%7BMAIL_PASSWORD%7D",
        "$ {HOME} news",
        ("$ {HOME}",),
    )


def test_hostile_lists_are_read_within_bounds() -> None:
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    bomb = of(outline("&a11;&wire;"), head=f'<!DOCTYPE opml [<!ENTITY wire "Wire"><!ENTITY a0 "ha">{laughs}]>')
    assert [facts["source"] for facts in bomb.feeds.values()] == ["&a11;Wire"]
    for external in ('SYSTEM "file:///etc/passwd"', '[<!ENTITY xx SYSTEM "/etc/passwd">]'):
        found = of(outline("a &xx;"), head=f"<!DOCTYPE opml {external}>")
        assert [facts["source"] for facts in found.feeds.values()] == ["a &xx;"]
    deep = of('<outline text="folder">' * 3_000 + outline("Wire"))
    assert deep.notes[0].startswith("the document is malformed (")
    many = of(*(outline("Wire", f"https://wire.example/{n}") for n in range(50_100)))
    assert len(many.feeds) == 50_000
    assert many.notes == ["line 1: only the 50,000 entries before this one are read"]


def test_a_broken_list_keeps_what_can_be_read() -> None:
    found = of(outline("One"), outline("Two", "https://two.example/", "x=<"), "<outline text='Three' xmlUrl='https")
    assert "One" in [facts["source"] for facts in found.feeds.values()]
    assert found.notes[0].startswith("the document is malformed (")


@pytest.mark.parametrize("body", [b"", b"<html><body>", b"<rss><channel/></rss>", b"{}", b"\x00\xff" * 100])
def test_what_is_no_opml_is_said(body: bytes) -> None:
    assert not is_opml(body)
    with pytest.raises(InputError, match="not OPML"):
        read_opml(body)


FEEDS = """
feeds:
  bbc-world: {url: "https://feeds.example/world.xml?a=1&b=2", source: BBC, every: 90s, language: en, country: GB,
              tags: [world, "sea, air", a/b], full_text: when_short, first_poll: alert, enabled: false}
  search: {google_news: '"border troops" when:1d', language: de, country: DE, source: Google News}
  search-en: {google_news: '"border troops" when:1d'}
  world: {gdelt: sanctions <x>}
  channel: {youtube: UC16niRr50-MSBwiO3YDb3RA, tags: [video]}
  pages: {sitemap: "https://paper.example/news.xml", every: 2h}
  новости: {url: "https://новости.example/ленты/1"}
"""


def test_what_is_written_is_read_back_as_the_same_feeds(tmp_path: Path) -> None:
    before = make.config(tmp_path / "before", feeds=FEEDS)
    written = write_opml(before.feeds.values(), "Corvid risk desk")
    found = read_opml(written)
    assert found.notes == []
    after = loaded(tmp_path / "after", found)
    assert after.problems == ()
    assert facts_of(after) == facts_of(before)


def test_what_is_written_is_opml_that_other_readers_take(tmp_path: Path) -> None:
    written = write_opml(make.config(tmp_path, feeds=FEEDS).feeds.values(), "Corvid <risk> desk").decode()
    assert written.startswith("<?xml version='1.0' encoding='utf-8'?>\n<opml ")
    assert 'version="2.0"' in written
    assert "<title>Corvid &lt;risk&gt; desk</title>" in written
    assert 'xmlUrl="https://www.youtube.com/feeds/videos.xml?channel_id=UC16niRr50-MSBwiO3YDb3RA"' in written
    assert 'type="rss" text="BBC" title="BBC" xmlUrl="https://feeds.example/world.xml?a=1&amp;b=2"' in written


TEXTS = st.text(max_size=40)


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=4))
def test_any_list_becomes_a_file_that_loads(
    tmp_path_factory: pytest.TempPathFactory, outlines: list[tuple[str, str, str]]
) -> None:
    def escaped(text: str) -> str:
        return text.translate({ord(c): f"&#{ord(c)};" for c in '<>&"\t\r\n'})

    body = "".join(
        outline(escaped(title), f"https://wire.example/{number}/{escaped(path)}", f'category="{escaped(tag)}"')
        for number, (title, path, tag) in enumerate(outlines)
    )
    found = read_opml(f"<opml><body>{body}</body></opml>".encode("utf-8", "surrogatepass"))
    config = loaded(tmp_path_factory.mktemp("config"), found)
    assert list(config.feeds) == list(found.feeds)
    again = read_opml(write_opml(config.feeds.values(), "again"))
    assert {
        name: feed.model_dump() for name, feed in loaded(tmp_path_factory.mktemp("again"), again).feeds.items()
    } == {name: feed.model_dump() for name, feed in config.feeds.items()}

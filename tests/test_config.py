"""The configuration: what loads, what each mistake says, and where."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from monitor.config import (
    AlertPolicy,
    Config,
    Feed,
    Group,
    QuietHours,
    Rate,
    Settings,
    Subscriber,
    Topic,
    copy_files,
    json_schema,
    load_config,
)
from monitor.config.closest import closest, undeclared
from monitor.config.load import NOT_YET, read_config
from monitor.config.sources import FILES, keys_of
from monitor.config.values import days, duration, rate, size, time_of_day, zone
from monitor.config.yamlfile import parse
from monitor.errors import ConfigError, MonitorError, Problem
from tests import make
from tests.conftest import PROJECT

BAD = Path(__file__).parent / "data" / "config"

# The configuration of the contract, its gaps filled.
SAMPLE = {
    "monitor": """\
site: Corvid risk desk
public_url: http://127.0.0.1:8080
database_url: sqlite:///monitor.db
secret_key: ${MONITOR_SECRET_KEY}
timezone: Europe/London
mail_from: Corvid risk desk <news@corvid.example>
operators: [mailto://ops@corvid.example]
web: {host: 127.0.0.1, port: 8080, token: ${MONITOR_TOKEN}}
fetch: {user_agent: Corvid/1, timeout: 20s, max_bytes: 10MB, allow_private: [127.0.0.1, "10.0.0.0/8"], per_host: 1,
        per_host_gap: 1s}
polling: {min: 5m, max: 2h}
events: {window: 3d}
old_stories: {after: 7d, then: digest}
budget: 2000/h
retention: {stories: 90d, deliveries: 400d}
channels:
  desk-slack: slack://T1/B2/C3
""",
    "feeds": """\
feeds:
  bbc-world:
    url: https://feeds.example/world.xml
    source: BBC
    every: 10m
    language: en
    country: GB
    tags: [world]
    full_text: never
    first_poll: baseline
    enabled: true
""",
    "entities": """\
entities:
  gustavo-petro:
    name: Gustavo Petro
    kind: person
    aliases: [President Petro, Густаво Петро, "غوستافو بيترو"]
    inflected: true
    weak: [Petro]
    context: [Colombia, Bogotá, presidente]
  ardent-lark: {kind: vessel}
  pell-star: {kind: vessel}
lists:
  un-sanctions: {file: lists/un.xml, format: un}
  our-vessels: {entities: [ardent-lark, pell-star]}
""",
    "topics": """\
macros:
  military: '(troops OR soldier* OR battalion* OR "armed forces")'
topics:
  border-deployments:
    title: Border deployments
    query: '$military NEAR/20 (border OR frontier)'
    severity: high
    scope: {languages: [en, es], tags: [world], feeds: [bbc-world]}
    examples:
      match: ["Troops sent to the frontier"]
      no_match: ["Border collie wins prize"]
  sanctions:
    all:
      - any: [sanction*, embargo]
      - banks
    none: [chess]
    near: 25
""",
    "subscribers": """\
subscribers:
  ruth:
    name: Ruth Whitcombe
    timezone: Europe/London
    language: en
    channels: {mail: "mailto://mail.example?to=ruth@corvid.example", slack: desk-slack}
    quiet_hours: {from: "22:00", to: "07:00", days: mon-sun, except: critical}
    digest: {at: ["07:00"], days: mon-fri, via: [mail], empty: skip}
    subscriptions:
      - topics: [border-deployments]
        alert: {via: [mail, slack], wait: 60s, each: event, updates: material, at_most: 6/h}
        digest: true
      - {topics: [sanctions], digest: true}
""",
}
ENV = {"MONITOR_SECRET_KEY": "a-key-of-some-length", "MONITOR_TOKEN": "a-token-of-some-length"}
SMALL = {
    "feeds": 'feeds:\n  wire: {url: "https://wire.example/rss"}\n',
    "topics": "topics:\n  sanctions: {any: [embargo]}\n",
    "subscribers": "subscribers: {}\n",
}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for stem, text in files.items():
        path = folder / (stem if stem.endswith((".yaml", ".yml")) else f"{stem}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def load(folder: Path, files: Mapping[str, str], env: Mapping[str, str] | None = None) -> Config:
    return load_config(write(folder, {**SMALL, **files}), env or {})


def problems(folder: Path, files: Mapping[str, str], env: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(folder, files, env)
    return caught.value.problems


def messages(folder: Path, files: Mapping[str, str], env: Mapping[str, str] | None = None) -> list[str]:
    return [problem.message for problem in problems(folder, files, env)]


# --- what loads ---


def test_the_sample_of_the_contract_loads_with_what_it_says(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, SAMPLE), ENV)
    assert config.settings.site == "Corvid risk desk"
    assert config.settings.web is not None
    assert config.settings.web.token is not None
    assert config.settings.web.token.get_secret_value() == ENV["MONITOR_TOKEN"]
    assert config.settings.fetch.max_bytes == 10_000_000
    assert config.settings.fetch.allow_private == ("127.0.0.1", "10.0.0.0/8")
    assert config.settings.events is not None
    assert config.settings.events.window == 3 * 86400
    assert config.settings.budget == Rate(2000, 3600)
    feed = config.feeds["bbc-world"]
    assert (feed.name, feed.source, feed.every, feed.country, feed.tags) == ("bbc-world", "BBC", 600, "GB", ("world",))
    assert config.entities["gustavo-petro"].title == "Gustavo Petro"
    assert config.lists["our-vessels"].entities == ("ardent-lark", "pell-star")
    assert config.macros["military"].startswith("(troops OR")
    topic = config.topics["border-deployments"]
    assert (topic.title, topic.severity, topic.scope.feeds) == ("Border deployments", "high", ("bbc-world",))
    assert [example.title for example in topic.examples.match] == ["Troops sent to the frontier"]
    assert config.topics["sanctions"].all == (Group(any=("sanction*", "embargo")), Group(any=("banks",)))
    ruth = config.subscribers["ruth"]
    assert ruth.title == "Ruth Whitcombe"
    assert ruth.channels["slack"].get_secret_value() == "slack://T1/B2/C3"
    assert ruth.quiet_hours == QuietHours(start="22:00", end="07:00", except_severity="critical")
    assert ruth.digest is not None
    assert (ruth.digest.at, ruth.digest.days) == (("07:00",), frozenset(range(5)))
    alert = ruth.subscriptions[0].alert
    assert alert == AlertPolicy(via=("mail", "slack"), wait=60.0, updates="material", at_most=Rate(6, 3600))


def test_what_is_read_but_not_acted_on_is_said_at_its_place(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, SAMPLE), ENV)
    warned = {re.sub(r"^`(\w+)`.*", r"\1", p.message): (Path(p.file).name, p.line) for p in config.problems}
    assert {p.level for p in config.problems} == {"warning"}
    assert warned == {
        "file": ("entities.yaml", 12),
    }


def test_every_key_of_the_table_of_what_is_not_acted_on_exists() -> None:
    leaves = {key for _, key, _ in fields()}
    assert {pattern.rsplit(".", 1)[-1] for pattern, _, _ in NOT_YET} <= leaves


def test_the_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    settings = config.settings
    assert settings == Settings()
    assert (settings.site, settings.public_url) == ("News Monitor", "http://127.0.0.1:8080")
    assert (settings.database_url, settings.timezone) == ("sqlite:///monitor.db", "UTC")
    assert (settings.fetch.timeout, settings.fetch.max_bytes, settings.fetch.per_host_gap) == (20, 10_000_000, 1)
    assert (settings.polling.min, settings.polling.max) == (300, 7200)
    assert (settings.old_stories.after, settings.old_stories.then) == (7 * 86400, "digest")
    assert settings.budget == Rate(2000, 3600)
    assert (settings.retention.stories, settings.retention.deliveries) == (90 * 86400, 400 * 86400)
    assert settings.web is not None
    assert (settings.web.host, settings.web.port, settings.web.token) == ("127.0.0.1", 8080, None)
    assert AlertPolicy().at_most == Rate(20, 3600)
    assert config.problems == ()


@pytest.mark.parametrize("word", ["off", "'off'", "false"])
def test_off_turns_a_section_off(tmp_path: Path, word: str) -> None:
    settings = load(tmp_path, {"monitor": f"web: {word}\nevents: {word}\nbudget: {word}\n"}).settings
    assert (settings.web, settings.events, settings.budget) == (None, None, None)


def test_yaml_1_1_traps_are_none(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        {
            "feeds": "feeds: {nrk: {url: https://n.example/, country: NO, language: no, source: 24, enabled: yes}}\n",
            "topics": "topics:\n  words: {any: [yes, 2026, 5G, 1e3, true]}\n",
            "subscribers": "subscribers: {ruth: {channels: {m: mailto://m}, quiet_hours: {from: 22:00, to: 07:00}}}\n",
        },
    )
    feed = config.feeds["nrk"]
    assert (feed.country, feed.language, feed.source, feed.enabled) == ("NO", "no", "24", True)
    assert config.topics["words"].any == ("yes", "2026", "5G", "1e3", "true")
    assert config.subscribers["ruth"].quiet_hours == QuietHours(start="22:00", end="07:00")


def test_what_a_subscriber_leaves_open_is_filled_in(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        {
            "monitor": "timezone: Asia/Amman\nchannels: {desk: slack://a/b/c}\noperators: [desk]\n",
            "topics": "topics:\n  one: {any: [a]}\n  two: {any: [b]}\n",
            "subscribers": """\
subscribers:
  omar:
    channels: {slack: desk, mail: "mailto://mail.example"}
    digest: {at: [7:30]}
    subscriptions: [{topics: all, alert: , digest: true}]
""",
        },
    )
    omar = config.subscribers["omar"]
    (subscription,) = omar.subscriptions
    assert config.settings.operators[0].get_secret_value() == "slack://a/b/c"
    assert (omar.title, omar.timezone, omar.language) == ("omar", "Asia/Amman", "en")
    assert subscription.topics == ("one", "two")
    assert subscription.alert is not None
    assert subscription.alert.via == ("slack", "mail")
    assert omar.digest is not None
    assert (omar.digest.via, omar.digest.at, omar.digest.days) == (("slack", "mail"), ("07:30",), frozenset(range(7)))


def test_everything_is_frozen(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, SAMPLE), ENV)
    with pytest.raises(ValidationError):
        config.settings.site = "other"  # type: ignore[misc] # that is the point
    with pytest.raises(ValidationError):
        config.feeds["bbc-world"].enabled = False  # type: ignore[misc] # that is the point
    for mapping in (config.feeds, config.topics, config.subscribers, config.subscribers["ruth"].channels):
        with pytest.raises(TypeError):
            mapping["new"] = None  # type: ignore[index] # that is the point


def test_models_are_made_directly_by_their_own_names() -> None:
    assert Subscriber(name="ruth", title="Ruth").title == "Ruth"
    assert Topic(name="t", any=("a",)).title == "t"
    assert Feed(name="f", url="https://f.example", every=600.0).every == 600.0


# --- folders of files ---


def test_a_folder_of_files_is_read_as_one_in_the_order_of_names(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {
            "topics/b.yaml": "topics:\n  two: {any: [b]}\nmacros: {m: x}\n",
            "topics/a.yaml": "topics:\n  one: {any: [a]}\n",
            "topics/.hidden.yaml": "not: [read",
            "feeds": SMALL["feeds"],
            "subscribers": SMALL["subscribers"],
        },
    )
    config = load_config(folder, {})
    assert list(config.topics) == ["one", "two"]
    assert config.macros == {"m": "x"}
    assert config.place("topics", "two", "any", 0) == config.place("topics", "two", "any", 0).at(0, "b")
    assert config.place("topics", "two", "any", 0).file == str(folder / "topics" / "b.yaml")
    assert [path.name for path in config.files] == ["feeds.yaml", "a.yaml", "b.yaml", "subscribers.yaml"]


def test_a_name_in_two_files_is_an_error_that_names_both_places(tmp_path: Path) -> None:
    write(
        tmp_path, {"topics/a.yaml": "topics:\n\n  one: {any: [a]}\n", "topics/b.yaml": "topics:\n  one: {any: [b]}\n"}
    )
    write(tmp_path, {"feeds": SMALL["feeds"], "subscribers": SMALL["subscribers"]})
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, {})
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == (str(tmp_path / "topics" / "b.yaml"), 2)
    assert problem.message == f"`one` is already declared under `topics` in {tmp_path / 'topics' / 'a.yaml'}, line 3"


def test_a_setting_in_two_files_is_an_error(tmp_path: Path) -> None:
    said = messages(tmp_path, {"monitor/a.yaml": "site: A\n", "monitor/b.yaml": "site: B\n"})
    assert said == [f"`site` is already given in {tmp_path / 'monitor' / 'a.yaml'}, line 1"]


def test_a_file_and_a_folder_of_one_name_are_an_error(tmp_path: Path) -> None:
    said = messages(tmp_path, {"entities": "entities: {}\n", "entities/a.yaml": "entities: {}\n"})
    assert said == [f"there is also a folder {tmp_path / 'entities'}"]


# --- what is missing ---


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "nowhere", {})
    (problem,) = caught.value.problems
    assert problem.message == "the configuration folder cannot be found, or is not a folder"
    assert "monitor init" in problem.fix


def test_a_folder_with_none_of_the_files_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, {})
    assert [p.message.partition(",")[0] for p in caught.value.problems] == ["the folder holds none of monitor.yaml"]


def test_a_missing_file_is_an_empty_section_and_warned_of(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, {"topics": SMALL["topics"]}), {})
    assert [(p.level, Path(p.file).name, p.message) for p in config.problems] == [
        ("warning", "feeds.yaml", "is missing, so there are no feeds"),
        ("warning", "subscribers.yaml", "is missing, so there are no subscribers"),
    ]
    assert (dict(config.feeds), dict(config.subscribers), list(config.topics)) == ({}, {}, ["sanctions"])


def test_a_slip_in_the_name_of_a_file_that_is_then_missing_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"topics": SMALL["topics"], "feeds": SMALL["feeds"], "subscriber": SMALL["subscribers"]})
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, {})
    said = [(p.level, Path(p.file).name, p.message) for p in caught.value.problems]
    assert ("error", "subscriber.yaml", "is not read: did you mean `subscribers.yaml`?") in said


def test_an_emptied_file_is_an_error_so_that_a_half_written_one_is_not_taken(tmp_path: Path) -> None:
    assert messages(tmp_path, {"feeds": ""}) == ["the key `feeds` is missing"]


def test_a_file_with_another_ending_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {"entities.yml": "entities: {}\n"})
    assert (problem.message, problem.fix) == (
        "is not read: the name must end in .yaml",
        "rename it to entities.yaml",
    )


def test_a_file_whose_name_is_a_slip_is_warned_of(tmp_path: Path) -> None:
    (problem,) = load(tmp_path, {"entites.yaml": "entities: {}\n", "compose.yaml": "x: y\n"}).problems
    assert (problem.level, Path(problem.file).name) == ("warning", "entites.yaml")
    assert problem.message == "is not read: did you mean `entities.yaml`?"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "monitor.yaml")
    assert messages(tmp_path, {}) == ["cannot be read: not a regular file"]


# --- mistakes ---

MISTAKES = [
    ("alias", 3, 10, "anchors and aliases (`&words`) are not read", "quote the text"),
    ("at_sign_without_quotes", 3, 11, "text that begins with `@` must be quoted", "put it in quotes"),
    ("bad_day", 4, 35, "`days`: `monday-fri` is not a day or a range of days", "write `mon-fri`"),
    ("bad_name", 2, 3, "`the wire` cannot be a name", "such as `the-wire`"),
    ("bad_network", 1, 25, "`allow_private`: `10.0.0.1/8` is not an IP address or network", "write `10.0.0.0/8`"),
    ("bad_rate", 1, 9, "`budget`: `2000 per hour` is not a rate", "such as `6/h`"),
    ("bad_size", 1, 20, "`max_bytes`: `10 mb` is not a size", "write `10MB`"),
    ("bad_time", 4, 36, "`to`: `7am` is not a time of day", 'write `"07:00"`'),
    ("bad_zone", 1, 11, "unknown time zone `London`: did you mean `Europe/London`?", "write `Europe/London`"),
    ("blank_in_duration", 4, 12, "`every`: `5 m` is not a duration", "write `5m`"),
    ("bounds_upside_down", 3, 8, "`max` is shorter than `min`", "write a longer one"),
    ("braces_without_quotes", 3, 11, "`any` must be text, not a mapping", "in quotes"),
    ("duration_without_unit", 4, 12, "`every`: `600` is not a duration", "add the unit: `600s`, `600m`"),
    ("list_as_text", 4, 11, "`tags` must be a list, not `world`", "write `[world]`"),
    ("near_without_groups", 4, 5, "`near` says how near the groups of `all` are to one another", "two groups"),
    ("neither", 5, 9, "the subscription has neither `alert` nor `digest`, so nothing would be sent", "`digest: true`"),
    ("no_address", 2, 3, "the feed `wire` has no `url`", "write `url: https://…`"),
    ("no_channels", 2, 3, "the subscriber `ruth` has no `channels`", "`enabled: false`"),
    ("no_digest_times", 5, 31, "the subscriber has no digest times, so this would never be sent", "digest: {at:"),
    ("no_driver", 1, 15, "`database_url`: the database address names no driver", "`postgresql+psycopg://`"),
    ("no_value", 2, 1, "`timezone` has no value; it takes a time zone", "`Europe/London`, or remove the line"),
    (
        "not_a_choice",
        2,
        54,
        "`full_text`: `allways` is not one of never, when_short, always: did you mean `always`?",
        "write `always`",
    ),
    ("not_http", 2, 15, "`url`: the address does not begin with `http://` or `https://`", "write it in full"),
    ("not_true_or_false", 2, 52, "`enabled`: `maybe` is neither true nor false", "write `true` or `false`"),
    ("nothing_to_follow", 2, 3, "the topic `sanctions` says nothing of what it follows", "write `query:`"),
    ("only_none", 3, 5, "the topic `sanctions` says only what it does not follow", "add `any:`"),
    ("open_without_token", 1, 13, "a web server that other machines can reach needs a `token`", "${MONITOR_TOKEN}"),
    ("port_too_large", 1, 13, "`port`: `80800` is too large", "write 65535 or less"),
    ("same_name", 4, 3, "`ours` is also the name of an entity, so `@ours` could mean either", "rename one"),
    ("secret_as_channel", 1, 13, "`operators` is neither an Apprise address nor the name of a channel", "mailto://…"),
    ("small_variable", 1, 13, "`${secret}` is not read: the names of variables are in capitals", "write `${SECRET}`"),
    ("tab", 2, 1, "a tab is used as indentation", "use blanks"),
    ("too_fast", 2, 50, "`every` is less than 1s", "write 1s or more"),
    ("twice", 4, 3, "`wire` is written twice: on line 2 and here", "keep one of the two"),
    ("two_addresses", 4, 5, "a feed has one address, and `url` is given too", "keep one"),
    ("unknown_entity", 4, 21, "unknown entity `pel-star`: did you mean `pell-star`?", "write `pell-star`"),
    ("unknown_feed", 4, 21, "unknown feed `wyre`: did you mean `wire`?", "write `wire`"),
    ("unknown_key", 3, 5, "unknown key `quert`: did you mean `query`?", "write `query`"),
    ("unknown_operator", 1, 13, "unknown channel `desk-slak`: did you mean `desk-slack`?", "write `desk-slack`"),
    ("unknown_section", 2, 1, "unknown key `fetsh`: did you mean `fetch`?", "write `fetch`"),
    (
        "unknown_severity",
        2,
        41,
        "`severity`: `hihg` is not one of low, normal, high, critical: did you mean `high`?",
        "write `high`",
    ),
    ("unknown_topic", 5, 19, "unknown topic `sanction`: did you mean `sanctions`?", "write `sanctions`"),
    ("unknown_via", 6, 23, "unknown channel `mial`: did you mean `mail`?", "write `mail`"),
    ("unset_variable", 2, 13, "the environment variable MONITOR_SECRET_KEY is not set", "set MONITOR_SECRET_KEY"),
    ("unset_variable_in_text", 3, 37, "the environment variable MAIL_PASSWORD is not set", "set MAIL_PASSWORD"),
    ("user_in_address", 2, 15, "`url`: the address holds a user name or password", "remove what stands"),
    (
        "youtube_address",
        3,
        14,
        "`youtube`: `https://www.youtube.com/channel/UC16niRr50-MSBwiO3YDb3RA` is an address, not the id of a channel "
        "or playlist",
        "write `UC16niRr50-MSBwiO3YDb3RA`",
    ),
    (
        "youtube_name",
        2,
        19,
        "`youtube`: `@northernwire` is a name or an address, and YouTube's feeds go by ids",
        "write the channel's id, `UC` and 22 letters",
    ),
    ("wrong_file", 3, 1, "`topics` does not belong in feeds.yaml", "move it to topics.yaml"),
]


@pytest.mark.parametrize(("name", "line", "column", "message", "fix"), MISTAKES)
def test_a_mistake_is_said_at_its_place_with_its_remedy(
    tmp_path: Path, name: str, line: int, column: int, message: str, fix: str
) -> None:
    (path,) = BAD.glob(f"{name}.*.yaml")
    stem = path.name.split(".")[1]
    found = problems(tmp_path, {stem: path.read_text()})
    errors = [p for p in found if p.level == "error"]
    assert [(p.file, p.line, p.column, p.message) for p in errors] == [
        (str(tmp_path / f"{stem}.yaml"), line, column, message)
    ]
    assert fix in errors[0].fix
    assert "hunter2" not in "\n".join(map(str, found))


def test_every_file_of_mistakes_is_tried() -> None:
    assert sorted(path.name.split(".")[0] for path in BAD.glob("*.yaml")) == sorted(name for name, *_ in MISTAKES)


def test_all_mistakes_of_all_files_are_said_at_once_in_the_order_of_the_files(tmp_path: Path) -> None:
    stems = [
        "unknown_section.monitor",
        "twice.feeds",
        "blank_in_duration.feeds",
        "tab.topics",
        "unknown_via.subscribers",
    ]
    files = {stem.split(".")[1]: (BAD / f"{stem}.yaml").read_text() for stem in stems}
    files["feeds"] += "  two: {every: 5 m, url: 'x', tags: y, quert: z}\n"
    found = problems(tmp_path, files)
    assert [(Path(p.file).stem, p.line) for p in found] == [
        ("monitor", 2),
        ("feeds", 4),
        ("feeds", 5),
        ("feeds", 5),
        ("feeds", 5),
        ("feeds", 5),
        ("topics", 2),
        ("subscribers", 6),
    ]


def test_a_file_that_cannot_be_read_does_not_make_every_reference_to_it_an_error(tmp_path: Path) -> None:
    reader = (
        "subscribers:\n  ruth: {channels: {mail: mailto://m.example}, subscriptions: [{topics: [lost], alert: }]}\n"
    )
    assert messages(tmp_path, {"topics": "topics: [a: ]]", "subscribers": reader}) == [
        "this does not line up with the lines above, or stands behind a quoted text"
    ]


def test_a_list_or_text_in_the_place_of_a_file_is_said(tmp_path: Path) -> None:
    assert messages(tmp_path, {"topics": "- a\n"}) == ["the file must be a mapping (`key: value`), not a list"]
    assert messages(tmp_path, {"topics": "a\n"}) == ["the file must be a mapping (`key: value`), not a text"]


ANYTHING = st.recursive(
    st.sampled_from(["", "off", "5m", "a b", "-1", "99999999999999999999", "é", "${X}", "mailto://a", "22:00", "all"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "at", "any", "q"]), inner),
    max_leaves=6,
)


def every_key() -> list[tuple[str, ...]]:
    top = [(stem, key) for stem, model in FILES.items() for key in keys_of(model)]
    inner = {
        "feeds": "Feed",
        "topics": "Topic",
        "subscribers": "Subscriber",
        "entities": "Entity",
        "lists": "EntityList",
    }
    below = [
        (stem, key, name)
        for stem, key in top
        if key in inner
        for name in json_schema()["$defs"][inner[key]]["properties"]
    ]
    return [*top, *below]


@given(st.sampled_from(every_key()), ANYTHING)
def test_no_value_of_any_key_shows_an_error_of_python_or_pydantic(
    tmp_path_factory: pytest.TempPathFactory, key: tuple[str, ...], value: object
) -> None:
    stem, top, *rest = key
    data: dict[str, Any] = {top: {"x": {rest[0]: value}}} if rest else {top: value}
    if stem in SMALL:
        data.setdefault(stem, {})
    text = json.dumps(data, ensure_ascii=False)  # JSON is YAML
    said = ""
    try:
        load(tmp_path_factory.mktemp("config"), {stem: text}, {"X": "y"})
    except ConfigError as error:
        said = str(error)
    assert not re.search(r"pydantic|Input should|Traceback|<class|\bNone\b|Errno|EMPTY|\bdict\b", said)


# --- secrets ---


def test_variables_are_put_in_also_within_text_and_a_lone_dollar_stays(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        {
            "topics": "macros: {m: x}\ntopics:\n  t: {query: '$m AND \"$5\"', any: ['${WORD}s']}\n",
            "subscribers": "subscribers:\n  r: {channels: {m: 'mailto://u:${PW}@mail.example'}}\n",
        },
        {"PW": "hunter2", "WORD": "embargo"},
    )
    assert config.subscribers["r"].channels["m"].get_secret_value() == "mailto://u:hunter2@mail.example"
    assert config.topics["t"].query == '$m AND "$5"'
    assert config.topics["t"].any == ("embargos",)


def test_the_text_of_a_file_is_taken_for_a_key_that_ends_in_file(tmp_path: Path) -> None:
    write(tmp_path, {})
    (tmp_path / "key.txt").write_text("hunter2\n")
    outside = tmp_path.with_name(f"{tmp_path.name}-mail.txt")
    outside.write_text("mailto://u:swordfish@mail.example")
    config = load(
        tmp_path,
        {
            "monitor": "secret_key_file: key.txt\n",
            "subscribers": f"subscribers:\n  r: {{channels: {{mail_file: {outside}}}}}\n",
        },
    )
    assert config.settings.secret_key is not None
    assert config.settings.secret_key.get_secret_value() == "hunter2"
    assert config.subscribers["r"].channels["mail"].get_secret_value() == "mailto://u:swordfish@mail.example"
    assert {tmp_path / "key.txt", outside} <= set(config.files)


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        ("secret_key_file: none.txt", "the file of `secret_key_file` cannot be read: No such file or directory"),
        ("secret_key_file: empty.txt", "the file of `secret_key_file` is empty"),
        ("secret_key_file: large.txt", "the file of `secret_key_file` is larger than 64 KB"),
        ("secret_key_file: ../key.txt", "`secret_key_file` leads out of the configuration folder"),
        ("secret_key: a\nsecret_key_file: empty.txt", "both `secret_key` and `secret_key_file` are given"),
        ("secret_kex_file: key.txt", "unknown key `secret_kex_file`: did you mean `secret_key`?"),
        ("web: {tokn_file: key.txt}", "unknown key `tokn_file`: did you mean `token`?"),
    ],
)
def test_a_secret_file_that_cannot_be_used_is_said(tmp_path: Path, monitor: str, message: str) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "key.txt").write_text("hunter2")
    (tmp_path / "large.txt").write_text("x" * 65_000)
    said = messages(tmp_path, {"monitor": monitor + "\n"})
    assert [text.partition(", or is")[0] for text in said] == [message]


def test_secrets_are_collected_and_never_shown(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        {
            "monitor": """\
secret_key: ${KEY}
web: {token: open-sesame, port: "${PORT}"}
database_url: postgresql+psycopg://news:dbpass@db/news
operators: ["slack://op/er/ator"]
channels: {desk: "slack://na/med/one"}
""",
            "subscribers": "subscribers:\n  r: {channels: {m: 'mailto://u:${PW}@mail.example', d: desk}}\n",
        },
        {"KEY": "the-signing-key", "PW": "hunter2", "PORT": "9090"},
    )
    secrets = ["the-signing-key", "open-sesame", "dbpass", "slack://op/er/ator", "slack://na/med/one", "hunter2"]
    assert set(secrets) <= set(config.secrets)
    assert "mailto://u:hunter2@mail.example" in config.secrets
    assert "9090" not in config.secrets  # a number would be blotted out of every log line
    shown = f"{config!r} {config.settings!r} {config.subscribers!r} {config.settings}"
    assert [secret for secret in secrets if secret in shown] == []


@pytest.mark.parametrize(
    ("stem", "text"),
    [
        ("monitor", "timezone: ${S}"),
        ("monitor", "fetch: {timeout: '${S}'}"),
        ("monitor", "web: {port: '${S}'}"),
        ("monitor", "old_stories: {then: '${S}'}"),
        ("monitor", "fetch: {allow_private: ['${S}']}"),
        ("monitor", "operators: ['${S}']"),
        ("monitor", "web: '${S}'"),
        ("monitor", "web: {tokn: hunter2-hunter2}"),
        ("monitor", "web: hunter2-hunter2"),
        ("monitor", "channels: {a: hunter2-hunter2}"),
        ("feeds", "feeds: {a: {url: '${S}'}}"),
        ("feeds", "feeds: {a: {url: 'https://a.example', tags: '${S}'}}"),
        ("topics", "topics: {a: {any: [b], scope: {feeds: ['${S}']}}}"),
        (
            "subscribers",
            "subscribers: {a: {channels: {m: '${S}'}, subscriptions: [{topics: ['${S}'], digest: '${S}'}]}}",
        ),
    ],
)
def test_a_wrong_value_that_came_from_outside_is_not_shown(tmp_path: Path, stem: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {stem: text}, {"S": "hunter2-hunter2"})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_subscriber_that_is_off_may_name_variables_that_are_not_set(tmp_path: Path) -> None:
    text = """\
subscribers:
  example:
    enabled: false
    channels: {mail: "mailto://${MAIL_USER}:${MAIL_PASSWORD}@mail.example", slack: "${SLACK_URL}"}
    subscriptions: [{topics: all, alert: {}}]
"""
    config = load(tmp_path, {"subscribers": text})
    assert not config.subscribers["example"].enabled
    assert len(problems(tmp_path, {"subscribers": text.replace("false", "true")})) == 3


# --- variables over settings ---


def test_settings_come_from_variables_which_win_over_the_file(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        {"monitor": "site: File\nsecret_key: ${UNSET}\nweb: {port: 1}\nchannels: {desk-slack: slack://a/b/c}\n"},
        {
            "MONITOR_SITE": "Desk: the #1 of [all]",
            "MONITOR_SECRET_KEY": "{not yaml",
            "MONITOR_WEB__PORT": "9090",
            "MONITOR_FETCH__ALLOW_PRIVATE": '["127.0.0.1"]',
            "MONITOR_EVENTS": "off",
            "MONITOR_OPERATORS": "[desk-slack]",
            "MONITOR_CHANNELS__DESK_SLACK": "slack://x/y/z",
            "MONITOR_CONFIG": "elsewhere",
            "MONITOR_DATA": "elsewhere",
            "MONITOR_TOKEN": "a-token",
            "MONITOR_TIMEZONE": "",
            "MONITOR_MAIL_PASSWORD": "for use as ${MONITOR_MAIL_PASSWORD}",
        },
    ).settings
    assert settings.site == "Desk: the #1 of [all]"
    assert settings.secret_key is not None
    assert settings.secret_key.get_secret_value() == "{not yaml"
    assert settings.web is not None
    assert (settings.web.port, settings.web.token) == (9090, None)
    assert settings.fetch.allow_private == ("127.0.0.1",)
    assert settings.events is None
    assert settings.operators[0].get_secret_value() == "slack://x/y/z"
    assert settings.timezone == "UTC"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("MONITOR_WEB__PROT", "1", "MONITOR_WEB__PROT: unknown key `prot`: did you mean `port`?"),
        ("MONITOR_WEBB__PORT", "1", "MONITOR_WEBB__PORT: unknown section `webb`: did you mean `web`?"),
        ("MONITOR_WEB__PORT", "x", "MONITOR_WEB__PORT: `port`: `x` is not a whole number"),
        ("MONITOR_FETCH__ALLOW_PRIVATE", "[a", "MONITOR_FETCH__ALLOW_PRIVATE: the list that `[` opens here"),
    ],
)
def test_a_wrong_variable_is_said_by_its_name(tmp_path: Path, variable: str, value: str, message: str) -> None:
    (problem,) = problems(tmp_path, {}, {variable: value})
    assert (problem.file, problem.line) == ("environment", 0)
    assert problem.message.startswith(message)


# --- places ---


def test_a_character_within_a_query_is_found_in_the_file(tmp_path: Path) -> None:
    text = """\
topics:
  a:
    query: >-
      one AND
      (two OR three)
  b: {query: 'x AND "y"'}
  c:
    all: [p, {any: [q]}]
"""
    config = load(tmp_path, {"topics": text})
    query = config.topics["a"].query or ""
    place = config.place("topics", "a", "query").at(query.index("three"), query)
    assert (place.file, place.line, place.column) == (str(tmp_path / "topics.yaml"), 5, 15)
    place = config.place("topics", "b", "query").at(6, 'x AND "y"')
    assert (place.line, place.column) == (6, 21)
    alone = config.place("topics", "c", "all", 0, "any", 0)  # a lone text is a group of one
    assert (alone.line, alone.column) == (8, 11)
    assert (config.place("topics", "c", "all", 1, "any", 0).column) == 21


def test_the_place_of_what_is_not_written_is_that_of_what_would_hold_it(tmp_path: Path) -> None:
    config = load(tmp_path, {}, {"MONITOR_SITE": "x"})
    place = config.place("topics", "sanctions", "severity")
    assert (place.line, place.column) == (2, 3)
    assert config.place("site").file == "environment"
    assert config.place("nowhere").file == ""


# --- the last good files ---


def test_copied_files_load_as_the_same_configuration(tmp_path: Path) -> None:
    folder = write(tmp_path / "config", {**SMALL, "monitor": "secret_key_file: secrets/key\n"})
    (folder / "secrets").mkdir()
    (folder / "secrets" / "key").write_text("hunter2-hunter2")
    config = load_config(folder, {})
    kept = tmp_path / "data" / "last-good"
    copy_files(config, kept)
    (folder / "topics.yaml").write_text("topics: [")
    again = load_config(kept, {})
    assert (again.fingerprint, again.topics, again.settings) == (config.fingerprint, config.topics, config.settings)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert stat.S_IMODE((kept / "secrets" / "key").stat().st_mode) == 0o600
    assert [path.name for path in kept.parent.iterdir()] == ["last-good"]


def test_copied_files_take_the_place_of_older_ones(tmp_path: Path) -> None:
    kept = tmp_path / "last-good"
    copy_files(load(tmp_path / "a", {"entities": "entities: {}\n"}), kept)
    copy_files(load(tmp_path / "b", {"monitor": "site: B\n"}), kept)
    assert sorted(path.name for path in kept.iterdir()) == [
        "feeds.yaml",
        "monitor.yaml",
        "subscribers.yaml",
        "topics.yaml",
    ]
    assert load_config(kept, {}).settings.site == "B"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "last-good"]


def test_files_that_cannot_be_kept_are_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(MonitorError, match="cannot be kept"):
        copy_files(load(tmp_path / "a", {}), tmp_path / "data" / "last-good")


def test_the_fingerprint_changes_with_any_file_and_not_with_the_folder(tmp_path: Path) -> None:
    first = load(tmp_path / "a", {}).fingerprint
    assert load(tmp_path / "b", {}).fingerprint == first
    assert load(tmp_path / "c", {"topics": SMALL["topics"] + "# more\n"}).fingerprint != first
    assert load(tmp_path / "d", {"entities": "entities: {}\n"}).fingerprint != first


# --- single values ---


@pytest.mark.parametrize(
    ("read", "written", "value"),
    [
        (duration, "30s", 30.0),
        (duration, "1.5h", 5400.0),
        (duration, "7d", 604800.0),
        (size, "10MB", 10_000_000),
        (size, "512KiB", 524_288),
        (rate, "20/d", Rate(20, 86400)),
        (days, "mon-sun", frozenset(range(7))),
        (days, "fri-mon", frozenset({4, 5, 6, 0})),
        (days, ["mon", "thu"], frozenset({0, 3})),
        (days, ["mon-wed", "sun"], frozenset({0, 1, 2, 6})),
        (time_of_day, "7:05", "07:05"),
        (zone, "America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
    ],
)
def test_values_are_read(read: Any, written: object, value: object) -> None:
    assert read(written) == value


@pytest.mark.parametrize(
    ("read", "written", "fix"),
    [
        (duration, "5min", "write `5m`"),
        (duration, "2 hours", "write `2h`"),
        (duration, "3mo", "write a number and a unit"),
        (duration, "99999999d", "write a shorter one"),
        (size, "10M", "write `10MB`"),
        (size, "10", "write `10MB`"),
        (rate, "0/h", "such as `6/h`"),
        (rate, "6 / hour", "write `6/h`"),
        (time_of_day, "24:00", 'write `"00:00"`'),
        (time_of_day, "7pm", 'write `"19:00"`'),
        (time_of_day, "19.30", 'write `"19:30"`'),
        (time_of_day, "07:61", "hours 00 to 23"),
        (days, "mon,thu", "write `[mon,thu]`"),
        (days, "daily", "the days are mon"),
        (zone, "Europe/Londn", "write `Europe/London`"),
        (zone, "Paris", "write `Europe/Paris`"),
        (zone, "Europe", "write"),
        (zone, "../../etc/passwd", "write"),
    ],
)
def test_a_wrong_value_is_answered_with_what_to_write(read: Any, written: str, fix: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        read(written)
    assert fix in (caught.value.context or {})["fix"]


def test_the_nearest_name_is_found_over_case_and_underscores() -> None:
    assert closest("Border_Deployment", ["sanctions", "border-deployments"]) == "border-deployments"
    assert closest("xyz", ["sanctions"]) == ""


def test_the_nearest_of_ten_thousand_names_is_found_fast_enough_for_a_mistake_in_every_topic() -> None:
    names = [f"feed-{number}" for number in range(10_000)]
    began = time.monotonic()
    assert [closest(f"fed-{number}", names) for number in range(0, 10_000, 500)] == names[::500]
    assert time.monotonic() - began < 10  # 20 names; comparing each with all takes ten times as long


def test_a_name_that_is_not_declared_is_told_with_all_that_are_or_of_very_many_with_the_nearest() -> None:
    assert str(undeclared("topic", "port", ["ports", "sanctions"])) == (
        "no topic `port` is declared (declared: ports, sanctions)"
    )
    assert str(undeclared("topic", "port", [])) == "no topic `port` is declared (declared: none)"
    many = [*(f"feed-{number}" for number in range(2_000)), "ports"]
    assert str(undeclared("topic", "port", many)) == (
        "no topic `port` is declared (2,001 are declared): did you mean `ports`?"
    )


# --- schema and reference ---


def fields() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, part in json_schema()["$defs"].items():
        for form in part.get("anyOf", [part]):
            for key, schema in form.get("properties", {}).items():
                yield name, key, schema


def resolve(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The object schemas that a schema may mean."""
    if "$ref" in schema:
        return resolve(json_schema()["$defs"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return [found for part in schema["anyOf"] for found in resolve(part)]
    return [schema]


def unknown_keys(data: object, schema: dict[str, Any], path: str) -> Iterator[str]:
    if isinstance(data, list):
        for part in data:
            yield from unknown_keys(part, next(s["items"] for s in resolve(schema) if "items" in s), f"{path}[]")
    if isinstance(data, dict):
        shape = next(s for s in resolve(schema) if s.get("type") == "object")
        for key, part in data.items():
            inner = shape.get("properties", {}).get(key, shape.get("additionalProperties"))
            if inner:
                yield from unknown_keys(part, inner, f"{path}.{key}")
            else:
                yield f"{path}.{key}"


def test_the_schema_knows_every_key_of_the_sample() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["properties"]) == set(FILES)
    for stem, text in SAMPLE.items():
        assert list(unknown_keys(parse(text).data, schema["properties"][stem], stem)) == []
    assert list(unknown_keys({"quert": "x"}, {"$ref": "#/$defs/Topic"}, "topic")) == ["topic.quert"]


def test_every_key_of_the_schema_is_described_and_none_may_be_null() -> None:
    assert [f"{name}.{key}" for name, key, schema in fields() if not schema.get("description")] == []
    assert '"null"' not in json.dumps(json_schema())


def test_the_reference_names_every_key() -> None:
    text = (PROJECT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:\w+\.)?(\w+)`", text))
    assert [f"{name}.{key}" for name, key, _ in fields() if key not in named] == []


def test_the_examples_of_the_reference_load(tmp_path: Path) -> None:
    text = (PROJECT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        data = parse(block).data
        assert isinstance(data, dict)
        stem = next(stem for stem, model in FILES.items() if set(data) <= set(keys_of(model)))
        write(tmp_path, {stem: block})
    env = {"MONITOR_TOKEN": "a-token", "SLACK_TOKENS": "a/b/c", "MAIL_PASSWORD": "hunter2"}
    config = load_config(tmp_path, env)
    assert config.problems == ()
    assert len(config.files) == 5


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ("min: 20m, max: 6h", ""),
        ("min: 20m, max: 10m", "`max` is shorter than `min`"),
        ("every: 5m, max: 10m", "`max` is a bound for an interval that `every` fixes"),
    ],
)
def test_a_feed_s_own_bounds_are_in_order(tmp_path: Path, own: str, said: str) -> None:
    feeds = f"feeds:\n  wire: {{url: 'https://wire.example/rss', {own}}}\n"
    problems = read_config(make.write_config(tmp_path, feeds=feeds), {}).problems
    assert [problem.message for problem in problems if problem.level == "error"] == ([said] if said else [])

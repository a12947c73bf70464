"""`monitor check` tells every mistake in one go, and nothing that only follows from another."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.checking import check, idle, load
from monitor.config import load_config
from monitor.errors import ConfigError, Problem
from tests.make import FEEDS, MONITOR, SUBSCRIBERS, TOPICS, write_config

MAIL = '"mailto://127.0.0.1:2525?from=news@corvid.example&to=ruth@corvid.example"'
WITH_PAGES = MONITOR.replace("web: off\n", "")


def errors(folder: Path, env: dict[str, str] | None = None) -> list[tuple[str, int, str]]:
    found = check(folder, env or {}).problems
    return [(Path(p.file).name, p.line, p.message.split("\n")[0]) for p in found if p.level == "error"]


def test_one_run_tells_mistakes_of_every_kind_in_every_file(tmp_path: Path) -> None:
    folder = write_config(
        tmp_path,
        monitor="sit: Desk\noperators: ['foo://nothing']\n",
        feeds="feeds:\n  wire: {url: 'https://wire.example/rss', every: 5}\n",
        entities="entities:\n  sudan: {nam: Sudan}\n",
        topics="""\
topics:
  grain: {query: 'wheat AND'}
  ships: {any: [port], severity: hihg, examples: {match: [Trains are late]}}
  ports: {any: ["@sudann"]}
""",
        subscribers=f"""\
subscribers:
  ruth:
    channels: {{mail: {MAIL.replace(".1:2525", ".1:99999")}, chat: "slack://"}}
    quiet_hours: {{from: late}}
    subscriptions: [{{topics: [grane], alert: {{}}}}]
""",
    )
    assert errors(folder) == [
        ("monitor.yaml", 1, "unknown key `sit`: did you mean `site`?"),
        ("monitor.yaml", 2, "Apprise knows no service `foo://`; mail is mailto:// or mailtos://, Slack is slack://"),
        ("feeds.yaml", 2, "`every`: `5` is not a duration"),
        ("entities.yaml", 2, "unknown key `nam`: did you mean `name`?"),
        ("topics.yaml", 2, "AND has nothing after it at the end"),
        ("topics.yaml", 3, "`severity`: `hihg` is not one of low, normal, high, critical: did you mean `high`?"),
        (
            "topics.yaml",
            3,
            "topic `ships`: the example `Trains are late` must match, and it does not: port fails (does not occur)",
        ),
        ("topics.yaml", 4, "unknown entity or list `@sudann`"),
        ("subscribers.yaml", 3, "the port of this mailto:// address is not a number from 1 to 65535"),
        ("subscribers.yaml", 3, "`chat` is neither an Apprise address nor the name of a channel"),
        ("subscribers.yaml", 4, "the key `to` is missing in `quiet_hours`"),
        ("subscribers.yaml", 4, "`from`: `late` is not a time of day"),
        ("subscribers.yaml", 5, "unknown topic `grane`: did you mean `grain`?"),
    ]


@pytest.mark.parametrize("broken", ["monitor", "feeds", "entities", "subscribers"])
def test_a_file_that_cannot_be_read_hides_no_mistake_of_the_others_and_adds_none(tmp_path: Path, broken: str) -> None:
    files = {
        "monitor": "channels: {desk: 'slack://T1/B2/C3'}\nmail_from: news@corvid.example\n",
        "feeds": FEEDS,
        "entities": "entities:\n  sudan: {name: Sudan}\nlists:\n  all: {entities: [sudan]}\n",
        "topics": """\
topics:
  grain: {query: 'wheat AND'}
  sudan: {query: '@sudan OR @all', examples: {match: [Talks in Sudan]}, scope: {feeds: [wire], languages: [en]}}
  ports: {any: [port], examples: {match: [Trains are late]}}
""",
        "subscribers": """\
subscribers:
  ruth:
    channels: {mail: "mailto://127.0.0.1?to=ruth@corvid.example", chat: desk, other: "foo://bar"}
    subscriptions: [{topics: [sudan], alert: {}}]
""",
    }
    folder = write_config(tmp_path, **{**files, broken: "a: [1\n"})
    expected = [
        ("topics.yaml", 2, "AND has nothing after it at the end"),
        ("topics.yaml", 4, "topic `ports`: the example `Trains are late` must match, and it does not: port fails "
         "(does not occur)"),
        ("subscribers.yaml", 3, "Apprise knows no service `foo://`; mail is mailto:// or mailtos://, Slack is slack://"),
    ]  # fmt: skip
    found = errors(folder)
    assert [told for told in found if told[0] != f"{broken}.yaml"] == [
        told for told in expected if told[0] != f"{broken}.yaml"
    ]
    assert [told[0] for told in found].count(f"{broken}.yaml") == 1


def test_a_topics_file_that_cannot_be_read_hides_no_mistake_of_another_topics_file(tmp_path: Path) -> None:
    folder = write_config(tmp_path, topics="")
    (folder / "topics").mkdir()
    (folder / "topics" / "a.yaml").write_text("macros: {military: troops\n")
    (folder / "topics" / "b.yaml").write_text(
        "macros: {more: $military OR tanks}\n"
        "topics:\n"
        "  border: {query: $more NEAR/5 border, examples: {match: [Border closed]}}\n"
        "  grain: {query: wheat AND}\n"
    )
    assert [(name, line) for name, line, _ in errors(folder)] == [("a.yaml", 1), ("b.yaml", 4)]


@pytest.mark.parametrize(
    "topic",
    [
        "{query: [wheat], examples: {match: [Wheat prices]}}",
        "{any: {wheat: 1}, examples: {match: [Wheat prices]}}",
        "{all: [{any: [x]}, {any: {y: 1}}], near: 5, examples: {match: [Wheat prices]}}",
        "{quert: wheat, examples: {match: [Wheat prices]}}",
        "{any: [x], scope: {languages: 5}, examples: {match: [Wheat prices]}}",
        "{query: '${UNSET}', examples: {match: [Wheat prices]}}",
        "{query: '@mistaken', examples: {match: [Wheat prices]}}",
        "{query: '@mistakes', examples: {match: [Wheat prices]}}",
        "{query: $macro, examples: {match: [Wheat prices]}}",
    ],
)
def test_what_cannot_be_read_of_a_topic_is_told_once_and_its_examples_are_not_tried(tmp_path: Path, topic: str) -> None:
    folder = write_config(
        tmp_path,
        entities="entities:\n  mistaken: {name: Wheat, kind: grain}\nlists: {mistakes: {entities: [mistaken, none]}}\n",
        topics=f"macros: {{macro: [wheat]}}\ntopics:\n  t: {topic}\n",
        subscribers="subscribers: {}\n",
    )
    in_topic = [told for told in errors(folder) if told[0] == "topics.yaml" and told[1] == 3]
    elsewhere = "@mis" in topic or "$macro" in topic
    assert len(in_topic) == (0 if elsewhere else 2 if "quert" in topic else 1), in_topic
    assert not any("example" in told[2] for told in in_topic)


def test_what_the_daemon_loads_must_be_without_any_mistake_but_for_examples(tmp_path: Path) -> None:
    folder = write_config(tmp_path, topics=TOPICS + "  odd: {any: [port], examples: {match: [Trains are late]}}\n")
    assert list(load(folder, {}).config.topics) == ["sanctions", "border-deployments", "odd"]
    (folder / "topics.yaml").write_text(TOPICS + "  odd: {query: port AND}\n")
    (folder / "feeds.yaml").write_text("feeds: {wire: {url: nowhere}}\n")
    with pytest.raises(ConfigError) as caught:
        load(folder, {})
    mistakes = [p for p in caught.value.problems if p.level == "error"]
    assert [Path(p.file).name for p in mistakes] == ["feeds.yaml", "topics.yaml"]


# --- files that are not there


def test_stories_are_matched_with_topics_alone(tmp_path: Path) -> None:
    folder = write_config(tmp_path, monitor="", feeds="", subscribers="")
    found = check(folder, {})
    assert found.ok
    assert [(p.level, Path(p.file).name) for p in found.problems] == [
        ("warning", "feeds.yaml"),
        ("warning", "subscribers.yaml"),
    ]
    assert list(load(folder, {}).config.topics) == ["sanctions", "border-deployments"]


def test_a_daemon_with_nothing_to_poll_or_nobody_to_tell_says_so(tmp_path: Path) -> None:
    assert idle(load_config(write_config(tmp_path / "whole"), {})) == ()
    nothing, nobody = idle(load_config(write_config(tmp_path / "part", feeds="", subscribers=""), {}))
    assert nothing.startswith("There is nothing to poll: ")
    assert nobody.startswith("There is nobody to tell: ")


def test_a_file_that_is_gone_since_the_running_configuration_was_read_is_an_error(tmp_path: Path) -> None:
    folder = write_config(tmp_path)
    running = load(folder, {})
    (folder / "subscribers.yaml").unlink()
    with pytest.raises(ConfigError) as caught:
        load(folder, {}, running)
    told: list[Problem] = [problem for problem in caught.value.problems if problem.level == "error"]
    assert [(Path(p.file).name, p.message) for p in told] == [
        ("subscribers.yaml", "is gone, and the running configuration was read from it")
    ]
    assert "subscribers: {}" in told[0].fix
    (folder / "subscribers").mkdir()  # a folder of files in its place is no loss
    (folder / "subscribers" / "a.yaml").write_text(SUBSCRIBERS)
    assert list(load(folder, {}, running).config.subscribers) == ["ruth"]


def test_links_that_nobody_answers_are_warned_of(tmp_path: Path) -> None:
    (told,) = check(write_config(tmp_path / "off"), {}).problems
    assert (told.level, Path(told.file).name, told.line) == ("warning", "monitor.yaml", 3)
    assert "nobody answers the links of messages" in told.message
    assert check(write_config(tmp_path / "on", monitor=WITH_PAGES), {}).problems == ()
    assert check(write_config(tmp_path / "none", subscribers="subscribers: {}\n"), {}).problems == ()


def test_a_language_that_messages_do_not_speak_is_warned_of(tmp_path: Path) -> None:
    silent = SUBSCRIBERS.replace("  ruth:\n", "  ruth:\n    language: it\n")
    spoken = SUBSCRIBERS.replace("  ruth:\n", "  ruth:\n    language: es-mx\n")
    found = check(write_config(tmp_path / "it", subscribers=silent, monitor=WITH_PAGES), {}).problems
    assert [(p.level, p.line, p.message, p.fix) for p in found] == [
        (
            "warning",
            4,
            "messages have no words in `it`: those to `ruth` are in English",
            "use one of ar, de, en, es, fr",
        )
    ]
    assert check(write_config(tmp_path / "es", subscribers=spoken, monitor=WITH_PAGES), {}).problems == ()


def readers_of_digests(count: int, *times: str, zone: str = "UTC") -> str:
    """Subscribers each with a digest by two channels, at the given times in turn."""
    return "subscribers:\n" + "".join(
        f"""
  reader{n}:
    timezone: {zone}
    channels: {{one: "mailto://127.0.0.1?to=a{n}@corvid.example", two: "mailto://127.0.0.1?to=b{n}@corvid.example"}}
    digest: {{at: ["{times[n % len(times)]}"], days: mon-fri, via: [one, two]}}
    subscriptions: [{{topics: all, digest: true}}]
"""
        for n in range(count)
    )


BUDGETS = [
    # (budget, times of 10 readers of two digests each, whether it is too small)
    ("19/h", ("07:00",), True),
    ("20/h", ("07:00",), False),
    ("10/h", ("07:00", "08:00"), False),
    ("19/h", ("07:00", "07:30"), True),
    ("19/d", ("07:00", "19:00"), True),
    ("20/d", ("23:30", "00:30"), False),
    ("off", ("07:00",), False),
]


@pytest.mark.parametrize(("budget", "times", "small"), BUDGETS)
def test_a_budget_that_the_digests_of_one_time_use_up_is_warned_of(
    tmp_path: Path, budget: str, times: tuple[str, ...], small: bool
) -> None:
    monitor = f"{MONITOR}budget: {budget}\n"
    folder = write_config(tmp_path, monitor=monitor, subscribers=readers_of_digests(10, *times))
    found = [p for p in check(folder, {}).problems if "budget" in p.message]
    assert len(found) == small
    for problem in found:
        assert (problem.level, Path(problem.file).name) == ("warning", "monitor.yaml")
        assert problem.line == monitor.count("\n")
        assert "than what digests alone need: 20 from" in problem.message


CROWDED = """\
feeds:
  one: {url: 'https://news.example/1', every: 2s}
  two: {url: 'https://news.example/2', every: 2s}
  three: {url: 'https://news.example/3', every: 10s}
  off: {url: 'https://slow.example/1', every: 1s, enabled: false}
  alone: {url: 'https://slow.example/2', every: 1s}
  adaptive: {url: 'https://slow.example/3'}
"""


def test_fixed_intervals_that_a_host_leaves_no_room_for_are_warned_of(tmp_path: Path) -> None:
    folder = write_config(tmp_path, monitor="mail_from: news@corvid.example\n", feeds=CROWDED)
    (found,) = [one for one in check(folder, {}).problems if "`every`" in one.message]
    assert (found.level, Path(found.file).name, found.line) == ("warning", "feeds.yaml", 2)
    assert found.message.startswith("`one` and 2 other feeds are polled later than `every` says: news.example gets one")
    assert found.fix.startswith("write `every: 3s` or more")
    folder = write_config(tmp_path, monitor="mail_from: news@x.example\nfetch: {per_host_gap: 0.5s}\n", feeds=CROWDED)
    assert not [one for one in check(folder, {}).problems if "`every`" in one.message]

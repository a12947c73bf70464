"""Rules are made, kept and let go without the collector of cyclic garbage."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from monitor import daemon as module
from monitor.app import open_app
from monitor.collector import lasting, set_aside, settle, uncollected
from monitor.config import Config, Entity, EntityList, Topic
from monitor.daemon import Daemon
from monitor.query import And
from monitor.rules import compile_rules
from monitor.text import StoryText
from tests import make

QUERY = """\
$force AND (@oslo OR @places OR "buffer zone"~3 OR border*) AND NOT ({AT&T} OR /x+/ OR FORMS(collie))
AND SENTENCE(a OR b) AND FIRST/50(ATLEAST/1(title:a OR c)) AND (a NEAR/3 b) AND NOT tag:sport
"""
CONFIG = Config(
    macros={"force": "troops OR soldiers"},
    entities={"oslo": Entity.model_validate({"name": "oslo", "title": "Oslo", "aliases": ["OSL"], "inflected": True})},
    lists={"places": EntityList(name="places", entities=("oslo",))},
    topics={"t": Topic(name="t", query=QUERY), "other": Topic(name="other", any=("troops",))},
)
STORY = StoryText(title="A b: troops at the border", summary="a b")


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    with uncollected():
        yield


@pytest.mark.usefixtures("without_collector")
def test_rules_that_are_replaced_go_at_once() -> None:
    def trees() -> int:
        return sum(isinstance(one, And) and len(one.children) == 7 for one in gc.get_objects())

    rules = compile_rules(CONFIG)
    assert [match.topic for match in rules.match(STORY)] == ["t", "other"]
    assert trees() == 1
    rules, before = compile_rules(CONFIG, (CONFIG, rules)), weakref.ref(rules)
    assert before() is None
    assert trees() == 1
    del rules
    assert trees() == 0


def test_nothing_is_collected_while_rules_are_made_whoever_makes_them() -> None:
    with uncollected():
        assert not gc.isenabled()
        compile_rules(CONFIG)
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_lasts_is_frozen_unless_a_mistake_ends_it() -> None:
    before = gc.get_freeze_count()
    with pytest.raises(ZeroDivisionError), lasting():
        assert 1 / 0
    assert gc.get_freeze_count() == before
    assert gc.isenabled()
    with lasting():
        kept = Ring()
    assert gc.get_freeze_count() > before
    assert gc.isenabled()
    gone = weakref.ref(kept)
    del kept
    gc.collect()
    assert gone() is not None
    set_aside()
    assert gone() is None
    assert gc.get_freeze_count() > before


def test_what_has_lived_on_is_left_out_of_later_collections() -> None:
    kept, young = Ring(), Ring()
    gone = weakref.ref(young)
    del young
    settle()
    assert gone() is None  # garbage that is young is not kept
    assert not any(one is kept for one in gc.get_objects())
    gone = weakref.ref(kept)
    del kept
    gc.collect()
    assert gone() is not None
    set_aside()
    assert gone() is None


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    folder = make.write_config(tmp_path / "config")
    app = open_app(make.config(folder), tmp_path / "data")
    yield Daemon(app, folder, {})
    await app.close()


async def test_a_daemon_settles_each_minute_and_once_a_day_looks_for_frozen_garbage(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLED_SET_ASIDE", 3)
    job = daemon._scheduler().get_job("settle")
    assert job.trigger.interval.total_seconds() == 60
    ring = Ring()
    await daemon._settle()
    gone = weakref.ref(ring)
    del ring
    await daemon._settle()
    assert gone() is not None
    await daemon._settle()
    assert gone() is None


async def test_a_daemon_freezes_its_rules_and_looks_for_frozen_garbage_at_times(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = daemon.app
    monkeypatch.setattr(module, "RELOADS_SET_ASIDE", 2)

    def frozen() -> bool:
        return not any(one is app.rules for one in gc.get_objects())

    assert not frozen()
    daemon.stop()
    await daemon.run()
    assert frozen()
    ring, before = Ring(), app.rules
    daemon._ask_reload()
    await daemon._reload()
    assert app.rules is not before
    assert frozen()
    gone = weakref.ref(ring)
    del ring
    daemon._ask_reload()
    await daemon._reload()
    assert gone() is None

"""The whole configuration as one frozen value."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from monitor.config.models import Entity, EntityList, Feed, Subscriber, Topic
from monitor.config.places import Place, Places
from monitor.config.settings import Settings
from monitor.errors import MonitorError, Problem

T = TypeVar("T")


def _nothing() -> Mapping[str, T]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Config:
    """Everything declared, by name, in the order of the files.

    `problems` are the warnings; `files` every file read, secret files included; `fingerprint` a hash of their names and
    contents; `secrets` the texts that no log line or message may show.
    """

    settings: Settings = field(default_factory=Settings)
    feeds: Mapping[str, Feed] = field(default_factory=_nothing)
    entities: Mapping[str, Entity] = field(default_factory=_nothing)
    lists: Mapping[str, EntityList] = field(default_factory=_nothing)
    macros: Mapping[str, str] = field(default_factory=_nothing)
    topics: Mapping[str, Topic] = field(default_factory=_nothing)
    subscribers: Mapping[str, Subscriber] = field(default_factory=_nothing)
    problems: tuple[Problem, ...] = ()
    files: tuple[Path, ...] = ()
    fingerprint: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    folder: Path = Path("config")
    places: Places = field(default_factory=Places, repr=False, compare=False)
    contents: Mapping[Path, bytes] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)

    def escalation(self, topic: str) -> Mapping[str, str]:
        """Return the addresses that a topic's alerts go on to when nobody acknowledges them, by name, in their order.

        An address that is written in the topic itself is named by the topic and its place.
        """
        declared = self.topics.get(topic)
        if declared is None or declared.escalate is None:
            return {}
        found: dict[str, str] = {}
        for place, to in enumerate(declared.escalate.to, 1):
            written = to.get_secret_value()
            known = self.settings.channels.get(written)
            found[f"{topic}-{place}" if known is None else written] = (known or to).get_secret_value()
        return found

    @cached_property
    def polled(self) -> Mapping[str, str]:
        """The addresses of the enabled feeds, by name."""
        feeds = self.feeds.values()
        return MappingProxyType({feed.name: at for feed in feeds if feed.enabled and (at := feed.address)})

    @cached_property
    def public(self) -> tuple[str, ...]:
        """The topics that anybody may see, and subscribe to where people sign up."""
        return tuple(name for name, topic in self.topics.items() if topic.public)

    @cached_property
    def weights(self) -> Mapping[str, float]:
        """How well each source is regarded: the weight of its feed, or of the weightiest of several."""
        found: dict[str, float] = {}
        for feed in self.feeds.values():
            found[feed.source] = max(feed.weight, found.get(feed.source, 0.0))
        return found

    def place(self, *path: str | int) -> Place:
        """Return where the value at a key path is written, such as `place("topics", "sanctions", "query")`.

        Of a list or mapping it is the place of its key; of what is not written, that of what would hold it; and
        `Place("")` when that is nowhere. `.at(offset, text)` leads to a character within the value.
        """
        return self.places.value(path)


def copy_files(config: Config, folder: Path) -> None:
    """Write the files that `config` was read from, as they were read, to `folder`, in place of what is there.

    `load_config(folder, env)` then gives the same configuration. Files outside the configuration's folder (secrets
    named by a whole path) stay where they are. The folder appears complete or not at all, readable by its owner only.
    Raises MonitorError.
    """
    inside = {
        p.relative_to(config.folder): raw for p, raw in config.contents.items() if p.is_relative_to(config.folder)
    }
    try:
        if _holds(folder, inside):
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))  # mode 0700
        try:
            for name, raw in inside.items():
                target = fresh / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
                    opened.write(raw)
                    opened.flush()
                    os.fsync(opened.fileno())
            _replace(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise MonitorError(f"the configuration cannot be kept in {folder}: {error.strerror}") from error


def _holds(folder: Path, wanted: Mapping[Path, bytes]) -> bool:
    """Whether `folder` holds these files already, and no others."""
    present = {path.relative_to(folder): path for path in folder.rglob("*") if not path.is_dir()}
    return present.keys() == wanted.keys() and all(present[name].read_bytes() == raw for name, raw in wanted.items())


def _replace(fresh: Path, folder: Path) -> None:
    """Put `fresh` in the place of `folder`. A full folder cannot be renamed over, so the old one steps aside first."""
    if not folder.exists():
        fresh.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent)) / "old"
    folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old.parent, ignore_errors=True)

"""`read_config`: a folder and an environment → all that could be read, and every problem; `load_config` wants none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr, ValidationError

from monitor.config.base import KEY, Part
from monitor.config.checks import check, is_address
from monitor.config.config import Config
from monitor.config.environment import Filled, fill, is_off, override
from monitor.config.models import Entity, EntityList, Feed, Subscriber, Subscription, Topic, TopicsFile
from monitor.config.report import Reporter
from monitor.config.settings import Settings
from monitor.config.sources import FILES, Sources, keys_of, read_files
from monitor.config.values import ALL
from monitor.config.yamlfile import EMPTY, Data, KeyPath
from monitor.errors import ConfigError, Problem

P = TypeVar("P", bound=Part)
_NO_CONTEXT: Final[Mapping[str, Collection[str] | None]] = MappingProxyType({})

# What the files may say already and this version does not act on: key path (`*` is any name), the values that change
# nothing, and what is so.
NOT_YET: tuple[tuple[str, frozenset[str], str], ...] = (
    ("lists.*.file", frozenset(), "is read, but this version does not read list files; `entities` of a list work"),
)


@dataclass(frozen=True, slots=True)
class Draft:
    """What could be read of a folder, and what is wrong with it.

    `config` holds every thing that could be read; of one with a mistake, its keys without. `problems` are all that the
    files show by themselves, in their order. `damaged` are the key paths that could not be read (a whole thing, or one
    of its keys), `broken` the stems of files of which a part could not, so that their names are not all known.
    `declared` are the names under `entities`, `lists` and `macros`, readable or not. `addresses` are those of all
    channels in use, by where they are written.
    """

    config: Config
    problems: tuple[Problem, ...]
    damaged: frozenset[KeyPath]
    broken: frozenset[str]
    declared: Mapping[str, frozenset[str]]
    addresses: Mapping[KeyPath, str]


def load_config(folder: Path, env: Mapping[str, str]) -> Config:
    """Return the configuration in `folder`, with the variables of `env`.

    Raises ConfigError with all problems, errors and warnings, in the order of the files; its text shows no secret.
    """
    draft = read_config(folder, env)
    if any(problem.level == "error" for problem in draft.problems):
        raise ConfigError(draft.problems)
    return draft.config


def read_config(folder: Path, env: Mapping[str, str]) -> Draft:
    """Return all that can be read of the configuration in `folder`, with the variables of `env`, and every problem."""
    sources = read_files(folder)
    override(sources, env)
    filled = fill(sources, env)
    loader = _Loader(sources, filled)
    made = loader.make()
    problems = in_order(folder, [*sources.problems, *loader.reporter.problems])
    settings = loader.resolve_settings(made.settings)
    subscribers = {name: loader.resolve(who, settings, made.topics) for name, who in made.subscribers.items()}
    config = replace(
        made,
        settings=settings,
        subscribers=MappingProxyType(subscribers),
        problems=problems,
        files=tuple(sources.contents),
        fingerprint=sources.fingerprint(),
        secrets=_secrets(made, settings, subscribers, filled),
        folder=folder,
        places=sources.places,
        contents=MappingProxyType(sources.contents),
    )
    declared = {key: frozenset(_mapping(filled.data.get(key))) for key in ("entities", "lists", "macros")}
    damaged = frozenset(loader.damaged | filled.broken)
    return Draft(config, problems, damaged, frozenset(sources.broken), declared, loader.addresses())


class _Loader:
    def __init__(self, sources: Sources, filled: Filled) -> None:
        self.sources, self.filled, self.data = sources, filled, filled.data
        self.reporter = Reporter(sources.places, filled)
        self.damaged: set[KeyPath] = set()

    def make(self) -> Config:
        """Return what is declared, as far as it can be read and names of channels and topics unresolved, reporting
        every problem."""
        for found in check(self.data, self.sources.broken):
            self.reporter.add(found.path, found.message, found.fix, at_key=found.at_key, level=found.level)
        for path, message in _not_yet(self.data):
            self.reporter.add(path, message, "remove it, or leave it for a later version", at_key=True, level="warning")
        context = {key: self._known(key) for key in ("feeds", "entities", "topics")}
        settings = self._model(Settings, (), {key: self.data[key] for key in keys_of(Settings) if key in self.data})
        feeds = self._models(Feed, "feeds", context)
        entities = self._models(Entity, "entities", context)
        lists = self._models(EntityList, "lists", context)
        macros = self._macros()
        topics = self._models(Topic, "topics", context)
        subscribers = self._models(Subscriber, "subscribers", context)
        return Config(settings or Settings(), feeds, entities, lists, macros, topics, subscribers)

    def addresses(self) -> Mapping[KeyPath, str]:
        """Return the readable addresses of channels; those of subscribers that are switched off may wait."""
        written: dict[KeyPath, Data] = {
            ("channels", name): url for name, url in _mapping(self.data.get("channels")).items()
        }
        operators = self.data.get("operators")
        for index, url in enumerate(operators if isinstance(operators, list) else ()):
            written["operators", index] = url
        if (via := _mapping(self.data.get("sign_up")).get("via")) is not None:
            written["sign_up", "via"] = via
        for who, raw in _mapping(self.data.get("subscribers")).items():
            if not is_off(_mapping(raw).get("enabled")):
                for name, url in _mapping(_mapping(raw).get("channels")).items():
                    written["subscribers", who, "channels", name] = url
        for name, raw in _mapping(self.data.get("topics")).items():
            to = _mapping(_mapping(raw).get("escalate")).get("to")
            for index, url in enumerate(to if isinstance(to, list) else ()):
                written["topics", name, "escalate", "to", index] = url
        return {
            path: url
            for path, url in written.items()
            if isinstance(url, str) and is_address(url) and path not in self.filled.broken
        }

    def _macros(self) -> Mapping[str, str]:
        """Return the readable macros; each is read by itself, so that one mistake does not take the others away."""
        raw = self.data.get("macros", {})
        parts = [{name: text} for name, text in raw.items()] if isinstance(raw, dict) else [raw]
        made: dict[str, str] = {}
        for part in parts:
            read = self._model(TopicsFile, (), {"macros": part, "topics": {}})
            made.update(read.macros if read is not None else {})
        return MappingProxyType(made)

    def _known(self, key: str) -> tuple[str, ...] | None:
        """Return the declared names, or None when they are not all known and references cannot be checked."""
        declared = self.data.get(key)
        return None if key in self.sources.broken else tuple(declared) if isinstance(declared, dict) else ()

    def _model(
        self, model: type[P], path: KeyPath, raw: Data, context: Mapping[str, Collection[str] | None] = _NO_CONTEXT
    ) -> P | None:
        """Return the thing at `path`, without its keys that have a mistake; None when the others make no such thing."""
        value: Any = raw
        if path and (isinstance(raw, dict) or raw is EMPTY):
            value = {KEY: path[-1], **(raw if isinstance(raw, dict) else {})}
        told = False
        while True:
            try:
                return model.model_validate(value, by_alias=True, by_name=False, context=dict(context))
            except ValidationError as error:
                if not told:  # what a second try finds may only follow from the keys left out
                    self.reporter.refused(error, model, path)
                    told = True
                wrong = _keys_at_fault(error) & (value.keys() - {KEY} if isinstance(value, dict) else set())
            self.damaged.update((*path, key) for key in wrong)
            if not wrong:
                self.damaged.add(path)
                return None
            value = {key: part for key, part in value.items() if key not in wrong}

    def _models(self, model: type[P], key: str, context: Mapping[str, Collection[str] | None]) -> Mapping[str, P]:
        made: dict[str, P] = {}
        for name, raw in self._section(key).items():
            own = raw.get("channels") if isinstance(raw, dict) and model is Subscriber else None
            thing = self._model(model, (key, name), raw, {**context, "via": own} if isinstance(own, dict) else context)
            if thing is not None:
                made[name] = thing
        return MappingProxyType(made)

    def _section(self, key: str) -> dict[str, Data]:
        value = self.data.get(key, EMPTY)
        if isinstance(value, dict) or value is EMPTY:
            return value if isinstance(value, dict) else {}
        what = "a list" if isinstance(value, list) else "text"
        self.reporter.add((key,), f"must be a mapping (`name: value`), not {what}", f"indent names below `{key}:`")
        return {}

    def resolve_settings(self, settings: Settings) -> Settings:
        """Put the addresses of `channels` in the place of their names."""
        update: dict[str, Any] = {"operators": tuple(_address(channel, settings) for channel in settings.operators)}
        if settings.sign_up is not None:
            via = _address(settings.sign_up.via, settings)
            update["sign_up"] = settings.sign_up.model_copy(update={"via": via})
        return settings.model_copy(update=update)

    def resolve(self, subscriber: Subscriber, settings: Settings, topics: Collection[str]) -> Subscriber:
        """Fill in what a subscriber leaves to others: addresses of named channels, the time zone, `via`, `all`."""
        every = tuple(subscriber.channels)
        channels = {name: _address(channel, settings) for name, channel in subscriber.channels.items()}
        update: dict[str, Any] = {"channels": MappingProxyType(channels)}
        if "timezone" not in subscriber.model_fields_set:
            update["timezone"] = settings.timezone
        if subscriber.digest is not None:
            via = tuple(dict.fromkeys(subscriber.digest.via)) or every
            update["digest"] = subscriber.digest.model_copy(update={"via": via})
        update["subscriptions"] = tuple(_subscription(s, every, topics) for s in subscriber.subscriptions)
        return subscriber.model_copy(update=update)


def _keys_at_fault(error: ValidationError) -> set[str]:
    """The keys of the refused mapping that the mistakes lie in, or are about."""
    found: set[str] = set()
    for detail in error.errors(include_url=False, include_input=False):
        about = detail["ctx"]["key"] if detail["type"] == "config" else ""
        steps = (*(step for step in detail["loc"] if step != KEY), *([about] if about else []))
        found.update(step for step in steps[:1] if isinstance(step, str))
    return found


def _mapping(value: Data | None) -> dict[str, Data]:
    return value if isinstance(value, dict) else {}


def _subscription(subscription: Subscription, channels: tuple[str, ...], topics: Collection[str]) -> Subscription:
    named = tuple(topics) if ALL in subscription.topics else tuple(dict.fromkeys(subscription.topics))
    alert = subscription.alert
    if alert is not None:
        alert = alert.model_copy(update={"via": tuple(dict.fromkeys(alert.via)) or channels})
    return subscription.model_copy(update={"topics": named, "alert": alert})


def _address(channel: SecretStr, settings: Settings) -> SecretStr:
    return settings.channels.get(channel.get_secret_value(), channel)


def _secrets(
    made: Config, settings: Settings, subscribers: Mapping[str, Subscriber], filled: Filled
) -> tuple[str, ...]:
    """Return what must never be shown: values from outside, keys, addresses of channels, and their passwords."""
    hidden = [settings.secret_key, settings.web.token if settings.web else None, *settings.operators]
    hidden += [settings.sign_up.via] if settings.sign_up else []
    hidden += [*settings.channels.values(), *(c for who in subscribers.values() for c in who.channels.values())]
    escalated = [to for topic in made.topics.values() if topic.escalate for to in topic.escalate.to]
    hidden += [to for to in escalated if is_address(to.get_secret_value())]  # else it is the name of a channel
    found = {secret.get_secret_value() for secret in hidden if secret is not None} | filled.secrets
    if "@" in settings.database_url:
        found.add(settings.database_url)
    for address in tuple(found):
        password = _password(address)
        found.update((password, unquote(password)))
    return tuple(sorted(found - {""}))


def _password(address: str) -> str:
    try:
        return urlsplit(address).password or ""
    except ValueError:  # it is no address
        return ""


def _not_yet(data: Mapping[str, Data]) -> Iterator[tuple[KeyPath, str]]:
    for pattern, harmless, message in NOT_YET:
        for path, value in _matching(dict(data), tuple(pattern.split(".")), ()):
            if value not in (EMPTY, []) and not (isinstance(value, str) and value in harmless):
                yield path, message


def _matching(value: Data, pattern: tuple[str, ...], path: KeyPath) -> Iterator[tuple[KeyPath, Data]]:
    if not pattern:
        yield path, value
        return
    items: Iterable[tuple[str | int, Data]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, part in items:
        if pattern[0] in ("*", key):
            yield from _matching(part, pattern[1:], (*path, key))


def in_order(folder: Path, problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort problems as the files are listed in the contract: monitor, feeds, entities, topics, subscribers."""
    order = {stem: index for index, stem in enumerate(FILES)}

    def rank(problem: Problem) -> tuple[int, str, int, int]:
        path = Path(problem.file)
        first = path.relative_to(folder).parts[:1] if path.is_relative_to(folder) else ()
        stem = first[0].removesuffix(".yaml").removesuffix(".yml") if first else ""
        return order.get(stem, -1), problem.file, problem.line, problem.column

    return tuple(sorted(dict.fromkeys(problems), key=rank))

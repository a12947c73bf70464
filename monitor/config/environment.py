"""What comes from outside the files: `MONITOR_…` variables over settings, `${NAME}` in values, and `*_file` keys."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args, get_origin

from monitor.config.base import Part
from monitor.config.closest import closest, did_you_mean
from monitor.config.places import ENVIRONMENT, Place
from monitor.config.settings import Settings
from monitor.config.sources import Sources, keys_of
from monitor.config.yamlfile import Data, KeyPath, YAMLError, parse
from monitor.errors import Problem

NOT_SETTINGS = ("MONITOR_CONFIG", "MONITOR_DATA", "MONITOR_TOKEN")
MAX_SECRET = 64_000  # bytes of a file that a *_file key names
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Values that are no secrets wherever they come from: taking them out of log lines would only make those unreadable.
_HARMLESS = re.compile(
    r"\d{1,5}|\d{1,2}:\d\d|\d+(\.\d+)?[smhd]|\d+[KMG]?B|\w{1,3}|true|false|https?://[\w.-]+(:\d+)?/?"
)


def model_in(annotation: object) -> type[Part] | None:
    """Return the model within a field's type, such as Web in `Web | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    found = (model_in(argument) for argument in get_args(annotation))
    return next((model for model in found if model is not None), None)


def override(sources: Sources, env: Mapping[str, str]) -> None:
    """Lay the settings given as `MONITOR_<KEY>` and `MONITOR_<SECTION>__<KEY>` over those of monitor.yaml."""
    for variable in sorted(env):
        # An empty variable is as good as none: compose files pass those on.
        if variable.startswith("MONITOR_") and variable not in NOT_SETTINGS and env[variable].strip():
            section, parted, key = variable.removeprefix("MONITOR_").lower().partition("__")
            if parted:
                _override_key(sources, variable, section, key, env[variable])
            elif section.removesuffix("_file") in keys_of(Settings):
                _set(sources, variable, sources.data, (section,), env[variable])
            # Other MONITOR_… variables are the operator's own, for use as ${MONITOR_…}.


def _override_key(sources: Sources, variable: str, section: str, key: str, text: str) -> None:
    field_info = Settings.model_fields.get(section)
    part = model_in(field_info.annotation) if field_info else None
    if section == "channels":
        declared = sources.data.get("channels")
        names = declared if isinstance(declared, dict) else {}
        key = next((name for name in names if name.lower().replace("-", "_") == key), key)
    elif part is None:
        sections = [name for name, f in Settings.model_fields.items() if model_in(f.annotation)] + ["channels"]
        _unknown(sources, variable, "section", section, sections)
        return
    elif key.removesuffix("_file") not in keys_of(part):
        known = keys_of(part)
        _unknown(sources, variable, "key", key, known)
        return
    within = sources.data.get(section)
    if not isinstance(within, dict):
        within = sources.data[section] = {}
    _set(sources, variable, within, (section, key), text)


def _set(sources: Sources, variable: str, within: dict[str, Data], path: KeyPath, text: str) -> None:
    """Set the key at `path`, which lies in `within`; text is read as YAML where a list or mapping belongs."""
    key = str(path[-1])
    plain = key.removesuffix("_file")
    for other in (plain, f"{plain}_file"):
        within.pop(other, None)
    sources.places.override(path, variable)
    value: Data = text
    if text.lstrip().startswith(("[", "{")) and _takes_more_than_text(path):
        try:
            value = parse(text).data
        except YAMLError as error:
            sources.problems.append(Problem("error", ENVIRONMENT, 0, 0, f"{variable}: {error.message}", error.fix))
            return
    within[key] = value


def _takes_more_than_text(path: KeyPath) -> bool:
    field_info = Settings.model_fields[str(path[0])] if path[0] in Settings.model_fields else None
    part = model_in(field_info.annotation) if field_info else None
    if len(path) == 2 and part is not None:
        field_info = part.model_fields.get(str(path[1]))
        part = None
    return field_info is not None and (part is not None or _collects(field_info.annotation))


def _collects(annotation: object) -> bool:
    """Whether a field's type is a list or mapping."""
    return get_origin(annotation) in (tuple, Mapping) or any(_collects(part) for part in get_args(annotation))


def _unknown(sources: Sources, variable: str, noun: str, word: str, known: Sequence[str]) -> None:
    near = closest(word, known)
    fix = f"name it {variable.replace(word.upper(), near.upper())}" if near else f"known are {', '.join(known)}"
    message = f"{variable}: unknown {noun} `{word}`{did_you_mean(near)}"
    sources.problems.append(Problem("error", ENVIRONMENT, 0, 0, message, fix))


@dataclass(slots=True)
class Filled:
    """The data with variables and secret files put in. Problems at or below a `broken` path only follow from it."""

    data: dict[str, Data] = field(default_factory=dict)
    hidden: set[KeyPath] = field(default_factory=set)  # values that came from outside and are not shown
    renamed: dict[KeyPath, str] = field(default_factory=dict)  # `token` → `token_file`, as written
    broken: set[KeyPath] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)


def fill(sources: Sources, env: Mapping[str, str]) -> Filled:
    """Return the data with `${NAME}` and `*_file` replaced; what cannot be is a problem in `sources`.

    A subscriber that is not enabled keeps unset variables as written, so that shipped examples load.
    """
    filler = _Filler(sources, env)
    data = filler.fill(sources.data, ())
    assert isinstance(data, dict)
    filler.filled.data = data
    return filler.filled


class _Filler:
    def __init__(self, sources: Sources, env: Mapping[str, str]) -> None:
        self.sources, self.env, self.filled = sources, env, Filled()
        self.lenient = False

    def fill(self, value: Data, path: KeyPath) -> Data:
        """Return `value` filled; recursion is as deep as the loader's cap on nesting allows."""
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, list):
            return [self.fill(part, (*path, index)) for index, part in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if len(path) == 2 and path[0] == "subscribers":
            self.lenient = is_off(value.get("enabled"))
        filled: dict[str, Data] = {}
        for key, part in value.items():
            # A macro's name is free, and its text is a query, so `case_file` is just a name there.
            if key.endswith("_file") and isinstance(part, str) and len(key) > len("_file") and path != ("macros",):
                self._file(value, key, part, path, filled)
            else:
                filled[key] = self.fill(part, (*path, key))
        if len(path) == 2:
            self.lenient = False
        return filled

    def _text(self, text: str, path: KeyPath) -> str:
        used = False

        def value_of(match: re.Match[str]) -> str:
            nonlocal used
            name = match[1]
            found = self.env.get(name, "") if name == name.upper() else ""
            if found:
                used = True
                if not _HARMLESS.fullmatch(found):
                    self.filled.secrets.add(found)
                return found
            if self.lenient and name == name.upper():
                self.filled.broken.add(path)
            else:
                self._not_set(name, self.sources.places.value(path).at(match.start(), text), path)
            return match[0]

        filled = _VARIABLE.sub(value_of, text)
        if used:
            self.filled.hidden.add(path)
        return filled

    def _not_set(self, name: str, place: Place, path: KeyPath) -> None:
        if name == name.upper():
            near = closest(name, [known for known in self.env if known.upper() == known])
            message = f"the environment variable {name} is not set"
            fix = f"set {name}, or write the value here" + (f"; {near} is set: is that meant?" if near else "")
        else:
            message = f"`${{{name}}}` is not read: the names of variables are in capitals"
            fix = f"write `${{{name.upper()}}}`"
        self._problem(place, path, message, fix)

    def _file(self, within: dict[str, Data], key: str, name: str, path: KeyPath, filled: dict[str, Data]) -> None:
        plain = key.removesuffix("_file")
        written, meant = (*path, key), (*path, plain)
        self.filled.renamed[meant] = key
        place = self.sources.places.value(written)
        if plain in within:
            self._problem(place, meant, f"both `{plain}` and `{key}` are given", "keep one of the two")
            return
        file = Path(self._text(name, written))
        if written in self.filled.broken:
            self.filled.broken.add(meant)
            return
        if ".." in file.parts and not file.is_absolute():
            message = f"`{key}` leads out of the configuration folder"
            self._problem(place, meant, message, "write the whole path, from `/` on")
            return
        try:
            raw = self.sources.read(self.sources.folder / file, MAX_SECRET)
            text = raw.decode().strip() if len(raw) <= MAX_SECRET else ""
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            if self.lenient:
                self.filled.broken.add(meant)
            else:
                fix = "check the path, which is relative to the configuration folder, and its permissions"
                self._problem(place, meant, f"the file of `{key}` cannot be read: {reason}", fix)
            return
        if not text:
            reason = "is empty" if len(raw) <= MAX_SECRET else f"is larger than {MAX_SECRET // 1000} KB"
            self._problem(place, meant, f"the file of `{key}` {reason}", "put the value, and nothing else, into it")
            return
        self.filled.secrets.add(text)
        self.filled.hidden.add(meant)
        self.sources.places.rename(meant, written)
        if self.sources.places.variable(written):
            self.sources.places.override(meant, self.sources.places.variable(written))
        filled[plain] = text

    def _problem(self, place: Place, path: KeyPath, message: str, fix: str) -> None:
        variable = self.sources.places.variable(path)
        shown = f"{variable}: {message}" if variable else message
        self.sources.problems.append(Problem("error", place.file, place.line, place.column, shown, fix))
        self.filled.broken.add(path)


def is_off(value: object) -> bool:
    """Whether a raw value says no."""
    return isinstance(value, str) and value.lower() in ("false", "no", "off", "n", "f", "0")

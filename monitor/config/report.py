"""pydantic's complaints, said for people and put at their place in the files. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from monitor.config.base import KEY, Part
from monitor.config.closest import closest, did_you_mean
from monitor.config.environment import Filled, model_in
from monitor.config.places import Places
from monitor.config.sources import keys_of
from monitor.config.values import quote
from monitor.config.yamlfile import EMPTY, KeyPath
from monitor.errors import Problem

_SEE = "see docs/reference/configuration.md"


class Reporter:
    """Collects problems. What only follows from a problem that is already known (`filled.broken`) is left out."""

    def __init__(self, places: Places, filled: Filled) -> None:
        self.places, self.filled = places, filled
        self.problems: list[Problem] = []

    def add(self, path: KeyPath, message: str, fix: str, *, at_key: bool = False, level: str = "error") -> None:
        """Add a problem at a key path, unless it follows from another; the message begins with the key if need be."""
        if any(path[:length] in self.filled.broken for length in range(1, len(path) + 1)):
            return
        place = self.places.key(path) if at_key else self.places.value(path)
        key = _written(path, self.filled.renamed)
        if key and re.match(r"(is|has|must|holds|names|cannot) ", message):
            message = f"`{key}` {message}"
        elif key and re.match(r"(`|the (address|database) )", message) and not at_key:
            message = f"`{key}`: {message}"
        variable = self.places.variable(path)
        if variable:
            message = f"{variable}: {message}"
        self.problems.append(
            Problem("warning" if level == "warning" else "error", place.file, place.line, place.column, message, fix)
        )

    def refused(self, error: ValidationError, model: type[Part], path: KeyPath) -> None:
        """Add every problem of a model that lies at `path`."""
        for detail in error.errors(include_url=False):
            steps = tuple(step for step in detail["loc"] if step != KEY)
            self._refused(dict(detail), model, steps, (*path, *steps))

    def _refused(self, detail: dict[str, Any], model: type[Part], steps: KeyPath, path: KeyPath) -> None:
        kind = detail["type"]
        if kind == "default_factory_not_called":
            return  # follows from another problem of the same model
        if kind == "extra_forbidden":
            self._unknown_key(model, steps, path)
        elif kind == "missing":
            holder = path[:-1]
            where = f" in `{holder[-1]}`" if holder else ""
            self.add(holder, f"the key `{path[-1]}` is missing{where}", "add it", at_key=True)
        elif kind == "config":
            self._custom(detail["ctx"], path)
        else:
            message, fix = _builtin(kind, detail.get("ctx", {}), detail["input"])
            if path in self.filled.hidden:
                message = message.replace(quote(detail["input"]), "the value")
            self.add(path, message, fix)

    def _custom(self, context: Mapping[str, Any], path: KeyPath) -> None:
        message, fix = str(context["message"]), str(context["fix"])
        if context["key"]:
            path = (*path, context["key"])
        if path in self.filled.hidden and context["shown"]:
            # The text came from a variable or a secret file: neither it nor what it resembles is shown.
            message = message.partition(": did you mean")[0].replace(context["shown"], "the value")
            fix = "correct the variable or file that it comes from"
        self.add(path, message, fix)

    def _unknown_key(self, model: type[Part], steps: KeyPath, path: KeyPath) -> None:
        for step in steps[:-1]:
            info = next((f for n, f in model.model_fields.items() if (f.alias or n) == step), None)
            model = (model_in(info.annotation) if info is not None else None) or model
        known = keys_of(model)
        written = _written(path, self.filled.renamed)
        word = written.removesuffix("_file") if path in self.filled.renamed else written
        near = closest(word, known)
        fix = f"write `{near}`" if near else f"the keys here are {', '.join(known)}"
        self.add(path, f"unknown key `{written[:60]}`{did_you_mean(near)}", fix, at_key=True)


def _written(path: KeyPath, renamed: Mapping[KeyPath, str]) -> str:
    """Return the last key of `path` as it is written in the file; list items go by their list's key."""
    for length in range(len(path), 0, -1):
        if isinstance(path[length - 1], str):
            return renamed.get(path[:length], str(path[length - 1]))
    return ""


def _builtin(kind: str, context: Mapping[str, Any], value: object) -> tuple[str, str]:
    """Return (message, fix) for one of pydantic's own errors."""
    if value is EMPTY:
        return "has no value", "give it one, or remove the line"
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        near = closest(value, choices) if isinstance(value, str) else ""
        fix = f"write `{near}`" if near else "write one of them"
        return f"{quote(value)} is not one of {', '.join(choices)}{did_you_mean(near)}", fix
    if kind.startswith("bool"):
        return f"{quote(value)} is neither true nor false", "write `true` or `false`"
    if kind.startswith("int"):
        return f"{quote(value)} is not a whole number", "write digits only"
    if kind == "greater_than_equal":
        return f"{quote(value)} is too small", f"write {context['ge']} or more"
    if kind == "less_than_equal":
        return f"{quote(value)} is too large", f"write {context['le']} or less"
    if kind in ("tuple_type", "list_type"):
        return f"must be a list, not {quote(value)}", "begin each item with `- `, or put them in `[ ]`"
    return f"must be something else than {quote(value)}", _SEE

"""The five files, or folders of files, read and put together as one mapping, with the place of everything in it."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from monitor.config.base import Part
from monitor.config.closest import closest, did_you_mean
from monitor.config.models import EntitiesFile, FeedsFile, SubscribersFile, TopicsFile
from monitor.config.places import Places, Source
from monitor.config.scalars import Scalar
from monitor.config.settings import Settings
from monitor.config.yamlfile import EMPTY, MAX_BYTES, Data, Document, YAMLError, decode, parse
from monitor.errors import Problem

FILES: dict[str, type[Part]] = {
    "monitor": Settings,
    "feeds": FeedsFile,
    "entities": EntitiesFile,
    "topics": TopicsFile,
    "subscribers": SubscribersFile,
}
# Not to have one of these files is hardly meant; to have one without its key is the sign of a half-written file.
EXPECTED = ("feeds", "topics", "subscribers")
# Keys whose value maps names to things; in a folder of files, each file may add names.
NAMED = ("feeds", "entities", "lists", "macros", "topics", "subscribers", "channels")
MAX_FILES = 500  # in one folder


@dataclass(slots=True)
class Sources:
    """What the files say: `data` under the top-level keys of all five, and what is wrong so far."""

    folder: Path
    data: dict[str, Data] = field(default_factory=dict)
    places: Places = field(default_factory=Places)
    problems: list[Problem] = field(default_factory=list)
    contents: dict[Path, bytes] = field(default_factory=dict)  # every file read, as read
    broken: set[str] = field(default_factory=set)  # the stems of which a part could not be read

    def read(self, path: Path, limit: int) -> bytes:
        """Return a regular file's content of at most `limit` bytes (one more if there is more). Raises OSError."""
        if not stat.S_ISREG(path.stat().st_mode):
            raise IsADirectoryError(21, "not a regular file")  # a pipe would be waited for without end
        with path.open("rb") as opened:
            raw = opened.read(limit + 1)
        self.contents[path] = raw
        return raw

    def fingerprint(self) -> str:
        """Return a hash of all names and contents, in hexadecimal."""
        digest = hashlib.sha256()
        for path, raw in sorted(self.contents.items()):
            digest.update(f"{path.relative_to(self.folder) if path.is_relative_to(self.folder) else path}".encode())
            digest.update(hashlib.sha256(raw).digest())
        return digest.hexdigest()


def keys_of(model: type[Part]) -> tuple[str, ...]:
    """Return a model's keys as YAML writes them."""
    names = (field.alias or name for name, field in model.model_fields.items())
    return tuple(name for name in names if not name.startswith("<"))


def read_files(folder: Path) -> Sources:
    """Read all files of a configuration folder. What is wrong is in `problems`."""
    sources = Sources(folder)
    if not _is_folder(folder):
        what = "cannot be found, or is not a folder"
        fix = "name the folder with --config, or make one: monitor init DIR"
        sources.problems.append(Problem("error", str(folder), 0, 0, f"the configuration folder {what}", fix))
        sources.broken.update(FILES)
        return sources
    try:
        present = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        sources.problems.append(Problem("error", str(folder), 0, 0, f"cannot be read: {error.strerror}"))
        sources.broken.update(FILES)
        return sources
    if not any(name in (stem, f"{stem}.yaml", f"{stem}.yml") for name in present for stem in FILES):
        fix = "name another folder with --config, or make a starter configuration: monitor init DIR"
        message = "the folder holds none of monitor.yaml, feeds.yaml, entities.yaml, topics.yaml, subscribers.yaml"
        sources.problems.append(Problem("error", str(folder), 0, 0, message, fix))
        sources.broken.update(FILES)
        return sources
    for stem in FILES:
        _read_stem(sources, stem, present)
    sources.problems.extend(_strays(folder, present))
    return sources


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a folder above may not be searched
        return False


def _read_stem(sources: Sources, stem: str, present: list[str]) -> None:
    file, below = sources.folder / f"{stem}.yaml", sources.folder / stem
    paths: list[Path] = []

    def problem(path: Path, message: str, fix: str) -> None:
        sources.problems.append(Problem("error", str(path), 0, 0, message, fix))
        sources.broken.add(stem)

    if f"{stem}.yml" in present:
        problem(file.with_suffix(".yml"), "is not read: the name must end in .yaml", f"rename it to {file.name}")
    if file.name in present and _is_folder(below):
        problem(file, f"there is also a folder {below}", "keep the file or the folder")
    if _is_folder(below):
        try:
            paths = [path for path in sorted(below.iterdir()) if not path.name.startswith(".")]
        except OSError as error:
            problem(below, f"cannot be read: {error.strerror}", "check its permissions")
        for path in paths:
            if path.suffix == ".yml":
                problem(path, "is not read: the name must end in .yaml", f"rename it to {path.stem}.yaml")
        paths = [path for path in paths if path.suffix == ".yaml"]
        if len(paths) > MAX_FILES:
            problem(below, f"holds more than {MAX_FILES} files", "put several into one")
            paths = paths[:MAX_FILES]
    elif file.name in present:
        paths = [file]
    for path in paths:
        _read_file(sources, stem, path)
    if stem in EXPECTED and stem not in sources.data and stem not in sources.broken:
        if not paths:
            where = str(below if _is_folder(below) else file)
            message, fix = f"is missing, so there are no {stem}", f"make it; it begins with `{stem}:`"
            sources.problems.append(Problem("warning", where, 0, 0, message, fix))
        else:
            problem(paths[0], f"the key `{stem}` is missing", f"begin the file with `{stem}:`")


def _read_file(sources: Sources, stem: str, path: Path) -> None:
    shown = str(path)
    mistakes: Iterable[YAMLError]
    document: Document | None = None
    try:
        document = parse(decode(sources.read(path, MAX_BYTES)))
        mistakes = document.mistakes
    except OSError as error:
        mistakes = [YAMLError(f"cannot be read: {error.strerror}", "check that it is a file, and its permissions")]
    except YAMLError as error:
        mistakes = [error]
    for mistake in mistakes:
        problem = Problem("error", shown, mistake.line, mistake.column, mistake.message, mistake.fix)
        sources.problems.append(problem)
    if document is None:
        sources.broken.add(stem)
        return
    source = Source.of(shown, document.text)
    if isinstance(document.data, dict):
        problems = list(_merge(sources, stem, source, document, document.data))
        sources.problems.extend(problems)
        return
    what = "a list" if isinstance(document.data, list) else "a text"
    at = document.values[()]
    line, column = source.lines.place(at.start if isinstance(at, Scalar) else at)
    message = f"the file must be a mapping (`key: value`), not {what}"
    first = next(iter(keys_of(FILES[stem])))
    sources.problems.append(Problem("error", shown, line, column, message, f"begin it with `{first}:`"))
    sources.broken.add(stem)


def _merge(sources: Sources, stem: str, source: Source, document: Document, data: dict[str, Data]) -> Iterator[Problem]:
    known = keys_of(FILES[stem])
    for key, value in data.items():
        line, column = source.lines.place(document.keys[(key,)])
        if key not in known and not (key.endswith("_file") and key.removesuffix("_file") in known):
            yield Problem("error", source.file, line, column, *_unknown(stem, key, known))
            continue
        before = sources.data.get(key)
        if key in NAMED and isinstance(value, dict) and isinstance(before, dict):
            yield from _same_names(sources, source, document, key, value, before)
            before.update({name: thing for name, thing in value.items() if name not in before})
        elif key in NAMED and (value is EMPTY or before is EMPTY) and before is not None:
            sources.data[key] = before if value is EMPTY else value
        elif before is not None:
            there = sources.places.key((key,))
            message = f"`{key}` is already given in {there.file}, line {there.line}"
            yield Problem("error", source.file, line, column, message, "keep one of the two")
        else:
            sources.data[key] = dict(value) if isinstance(value, dict) else value
    sources.places.learn(source, document)


def _same_names(
    sources: Sources, source: Source, document: Document, key: str, new: dict[str, Data], old: dict[str, Data]
) -> Iterator[Problem]:
    for name in new:
        if name in old:
            there = sources.places.key((key, name))
            line, column = source.lines.place(document.keys[key, name])
            message = f"`{name}` is already declared under `{key}` in {there.file}, line {there.line}"
            yield Problem("error", source.file, line, column, message, "rename one of the two, or remove it")


def _unknown(stem: str, key: str, known: tuple[str, ...]) -> tuple[str, str]:
    for other, model in FILES.items():
        if other != stem and key in keys_of(model):
            return f"`{key}` does not belong in {stem}.yaml", f"move it to {other}.yaml"
    near = closest(key, known)
    fix = f"write `{near}`" if near else f"the keys here are {', '.join(known)}"
    return f"unknown key `{key[:60]}`{did_you_mean(near)}", fix


def _strays(folder: Path, present: list[str]) -> Iterator[Problem]:
    """Yield each file whose name looks like a slip of one of the five; where that one is expected, it is an error."""
    names = [f"{stem}.yaml" for stem in FILES]
    for name in present:
        near = closest(name, names) if name.endswith((".yaml", ".yml")) and not name.startswith(".") else ""
        if near and name not in names and name.removesuffix(".yml") not in FILES and near not in present:
            message = f"is not read: did you mean `{near}`?"
            stem = near.removesuffix(".yaml")
            level: Literal["error", "warning"] = "error" if stem in EXPECTED and stem not in present else "warning"
            yield Problem(level, str(folder / name), 0, 0, message, f"rename it to {near}")

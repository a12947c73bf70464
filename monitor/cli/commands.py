"""Commands that do something: init, check, run, demo, poll, retry, migrate, schema."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track
from rich.text import Text

from monitor import __version__, checking, doctor, logs, service
from monitor.app import App, feeds_to_poll, open_app, utc_now
from monitor.cli.common import CONFIG, DATA, Config, Data, Json, cli, err, out, plain, to_json, using
from monitor.config import json_schema
from monitor.daemon import ROLES, Daemon, load_or_last_good, only_one
from monitor.errors import InputError, MonitorError
from monitor.pipeline import Polled, Watch, digest_due, read_all, schedule_slots
from monitor.pipeline.deliver import Delivered, drain
from monitor.pipeline.poll import start
from monitor.render import shipped
from monitor.text import clean
from monitor.web.serve import serve


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"News Monitor {__version__}")
        raise typer.Exit


@cli.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Watches news feeds and alerts people to the stories that their rules describe."""


@cli.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write.")],
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Write a commented starter configuration: about 40 feeds, eight topics, 60 entities, two example subscribers."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not empty; nothing was written")
    try:
        shutil.copytree(shipped("config"), folder, dirs_exist_ok=True)
    except OSError as error:
        raise MonitorError(f"{folder} cannot be written: {error.strerror}") from error
    if as_json:
        to_json({"folder": str(folder), "files": sorted(path.name for path in folder.iterdir())})
        return
    out.print(f"Wrote {folder}. Next: edit {folder}/subscribers.yaml, then", markup=False)
    out.print(f"  monitor check --config {folder}\n  monitor run --config {folder}", markup=False)


@cli.command()
def check(config: Config = CONFIG, data: Data = DATA, as_json: Json = False) -> None:
    """Check the whole configuration and run every topic's examples."""
    found = checking.check(config, os.environ, data)
    if as_json:
        keys = ("level", "file", "line", "column", "message", "fix")
        problems = [{key: getattr(problem, key) for key in keys} for problem in found.problems]
        to_json({"ok": found.ok, "problems": problems})
    else:
        for problem in found.problems:
            shown = Text(logs.redact(str(problem)))
            colour = "bold red" if problem.level == "error" else "bold yellow"
            shown.highlight_regex(rf"\A.*?{problem.level}:|(?m:^\s+\^+$)", colour)
            shown.highlight_regex(r"\bFix:", "bold")
            out.print(shown)
        errors = sum(problem.level == "error" for problem in found.problems)
        if found.ok:
            out.print(
                f"{config} is good: {_count(found.feeds, 'feed')}, {_count(found.topics, 'topic')} with "
                f"{_count(found.examples, 'good example')}, {_count(found.subscribers, 'subscriber')} switched on.",
                markup=False,
            )
        else:
            out.print(f"{_count(errors, 'mistake')} in {config}.", markup=False)
    if not found.ok:
        raise typer.Exit(1)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@cli.command()
def schema(config: Config = CONFIG, data: Data = DATA, as_json: Json = False) -> None:
    """Print the JSON Schema of the configuration files, for editors."""
    to_json(json_schema())


@cli.command()
def migrate(config: Config = CONFIG, data: Data = DATA, as_json: Json = False) -> None:
    """Bring the database up to date (`run` does so by itself on SQLite)."""
    loaded = checking.load(config, os.environ)
    app = open_app(loaded.config, data, rules=loaded.rules, migrate=False)
    app.store.migrate()
    asyncio.run(app.close())
    if as_json:
        to_json({"ok": True})
    else:
        out.print("The database is up to date.")


@cli.command("doctor")
def see_doctor(
    send: Annotated[
        str,
        typer.Option("--send", help="Also send a test to a subscriber, `operators` or `escalations`.", metavar="WHO"),
    ] = "",
    dkim: Annotated[
        list[str] | None, typer.Option("--dkim", help="A selector that the mail server signs with.", metavar="SELECTOR")
    ] = None,
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Look at what the program needs: database, clock, DNS, logins, the sender's domain; say how to mend it."""
    with using(config, data) as app:
        findings = []
        for finding in doctor.examine(app, app.now(), doctor.resolver(), dkim or ()):
            findings.append(finding)
            if not as_json:
                out.print(_finding(finding))
        sent = doctor.send_test(app, send, app.now()) if send else []
    good = all(finding.state != "bad" for finding in findings) and all(one.outcome.kind == "sent" for one in sent)
    if as_json:
        to_json({"ok": good, "findings": findings, "sent": sent})
    for one in () if as_json else sent:
        said = one.outcome.receipt or one.outcome.detail or one.outcome.code
        line = f"test to {one.subscriber}/{one.channel}: {one.outcome.kind}{f' ({said})' if said else ''}"
        out.print(Text(logs.redact(line), "" if one.outcome.kind == "sent" else "bold red"))
    if not good:
        raise typer.Exit(1)


_COLOURS = {"good": "green", "warning": "bold yellow", "bad": "bold red", "untested": "dim"}


def _finding(finding: doctor.Finding) -> Text:
    shown = Text.assemble((f"{finding.state:<9}", _COLOURS[finding.state]), f"{finding.area:<12}{clean(finding.said)}")
    if finding.fix:
        shown.append("\n" + " " * 21)
        shown.append("Fix: " if finding.state in ("warning", "bad") else "Next: ", "bold")
        shown.append(clean(finding.fix))
    return shown


@cli.command()
def run(
    config: Config = CONFIG,
    data: Data = DATA,
    once: Annotated[bool, typer.Option("--once", help="Poll all, ingest, send what is due, exit.")] = False,
    only: Annotated[str, typer.Option("--only", help="Roles, by comma: poll, deliver, web.", metavar="ROLES")] = "",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every poll.")] = False,
    as_json: Json = False,
) -> None:
    """Run the daemon: poll, match, alert, digest, until stopped."""
    logs.setup("DEBUG" if verbose else "INFO")
    roles = frozenset(part.strip() for part in only.split(",") if part.strip()) or ROLES
    if roles - ROLES:
        raise typer.BadParameter(f"{', '.join(sorted(roles - ROLES))}: a role is one of poll, deliver, web")
    with only_one(data):
        loaded = load_or_last_good(config, data, os.environ, utc_now())
        app = open_app(loaded.config, data, rules=loaded.rules)
        if once:
            for sentence in checking.idle(app.config):
                err.print(sentence, markup=False)
            failed = asyncio.run(_once(app, as_json))
            raise typer.Exit(3 if failed else 0)
        asyncio.run(_forever(app, config, roles))


async def _forever(app: App, config: Path, roles: frozenset[str]) -> None:
    daemon = Daemon(app, config, os.environ, roles, serve)
    await daemon.run()
    await app.close(wait=False)
    # A thread that still waits for a mail server would hold the process; its message is taken up at the next start.
    sys.stderr.flush()
    os._exit(0)


async def _once(app: App, as_json: bool) -> bool:
    """Poll every feed, make due digests, send what is due. Return whether nothing at all could be polled."""
    try:
        await app.db(app.store.feeds.ensure, feeds_to_poll(app.config), app.now())
        await app.db(app.store.outbox.sweep, app.now(), app.worker)
        await app.db(schedule_slots, app, app.config, app.now())
        polled = await _poll_all(app, list(feeds_to_poll(app.config)))
        await app.db(Watch().look, app)
        await app.db(digest_due, app)
        sent = await drain(app)
        await read_all(app)
        sent += await drain(app)
        _summary(polled, sent, as_json)
        return bool(polled) and all(one.result == "failed" for one in polled)
    finally:
        await app.close()


async def _poll_all(app: App, names: list[str]) -> list[Polled]:
    """Poll feeds; trouble of our own with one is told in its result, and the others go on."""
    tasks = {start(app, name): name for name in names}
    done = []
    for task in track(asyncio.as_completed(tasks), "Polling", len(tasks), console=err, transient=True):
        with contextlib.suppress(Exception):  # told below, with the feed's name
            done.append(await task)
    for task, name in tasks.items():
        if (error := task.exception()) is not None:
            done.append(Polled(name, "failed", error=str(error) or type(error).__name__))
    return done


def _summary(polled: list[Polled], sent: list[Delivered], as_json: bool) -> None:
    new = sum(one.ingested.new for one in polled if one.ingested)
    matched = sum(one.ingested.matched for one in polled if one.ingested)
    failed = [one for one in polled if one.result == "failed"]
    accepted = sum(one.outcome.kind == "sent" for one in sent)
    if as_json:
        messages = [{"id": one.delivery.id, "outcome": one.outcome.kind} for one in sent]
        to_json({"polled": polled, "new": new, "matched": matched, "messages": messages})
        return
    out.print(f"{len(polled)} feeds polled, {len(failed)} failed; {new} new stories, {matched} matched a topic.")
    out.print(
        f"{accepted} messages accepted, {len(sent) - accepted} not; `monitor deliveries` shows them.", markup=False
    )
    for one in failed:
        out.print(f"  {one.feed}: {one.error}", markup=False)


@cli.command()
def demo(
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for the mails (default: a new one under the data folder).")
    ] = None,
    pace: Annotated[float, typer.Option("--pace", help="Times as fast.", min=0.1, max=20)] = 1.0,
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Show the whole path on an invented newswire: offline, with a mailbox to look at, in under a minute."""
    from monitor.demo import run_demo

    raise typer.Exit(run_demo(folder or data / "demo", pace))


@cli.command()
def poll(
    feeds: Annotated[list[str], typer.Argument(help="Names of feeds.", metavar="FEED...")],
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Poll feeds now, due or not."""
    with using(config, data) as app:
        polled = asyncio.run(_poll_now(app, feeds))
    if as_json:
        to_json([plain(one) for one in polled])
    else:
        for one in polled:
            done = one.ingested
            said = one.error or (
                f"{done.new} new, {done.edited} edited, {done.matched} matched, {done.alerts} alerts"
                if done
                else "nothing new"
            )
            out.print(f"{one.feed}: {said}", markup=False)
    if any(one.result == "failed" for one in polled):
        raise typer.Exit(3)


async def _poll_now(app: App, feeds: list[str]) -> list[Polled]:
    polled = await service.poll_now(app, feeds)
    await app.close_fetchers()
    return polled


@cli.command()
def retry(
    ids: Annotated[list[int], typer.Argument(help="Ids of messages.", metavar="ID...")],
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Make given-up, held, cancelled or waiting messages due now; the daemon sends them."""
    with using(config, data) as app:
        done = service.retry(app, ids, app.now())
    if as_json:
        to_json(done)
    else:
        out.print(f"Due now: {', '.join(map(str, done))}. `monitor run` sends them.", markup=False)


@cli.command()
def cancel(
    ids: Annotated[list[int], typer.Argument(help="Ids of messages.", metavar="ID...")],
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Cancel messages that wait, are held or were given up: they are not sent, and stay on record."""
    with using(config, data) as app:
        done = service.cancel(app, ids, app.now())
    if as_json:
        to_json(done)
    else:
        out.print(f"Cancelled: {', '.join(map(str, done))}.", markup=False)

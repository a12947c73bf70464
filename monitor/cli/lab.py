"""`monitor try`: a draft on the archive, against a saved topic."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from monitor.cli.common import CONFIG, DATA, Config, Data, Json, cli, clock, hang, out, plain, to_json, told, using
from monitor.config.values import duration
from monitor.errors import InputError
from monitor.service.lab import Change, Try, try_query
from monitor.service.mending import Wrong

_BAR = 40  # cells of the busiest day's bar
LONGEST_DAYS = 3_650
_LISTED = 10  # stories gained, and lost


@cli.command("try")
def try_(
    query: Annotated[
        str, typer.Argument(metavar="[QUERY]", help="A query, in quotes; without it the topic's own.")
    ] = "",
    topic: Annotated[str, typer.Option("--topic", help="The saved topic to compare with.", metavar="T")] = "",
    since: Annotated[str, typer.Option("--since", help="How far back, such as 30d.", metavar="D")] = "30d",
    seconds: Annotated[float, typer.Option("--seconds", help="The longest that it may take.", min=0.1)] = 600.0,
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Try a query on the archive: stories and alerts a day, examples, and what it gains and loses. Nothing is sent."""
    if not query.strip() and not topic:
        raise typer.BadParameter("give a query, or --topic")
    try:
        days = min(max(1, round(duration(since) / 86400)), LONGEST_DAYS)
    except ValueError as error:
        raise typer.BadParameter(f"{since!r} is not a duration such as 30d") from error
    with using(config, data) as app:
        found = try_query(app, query, app.now(), topic=topic, days=days, seconds=seconds)
    if as_json:
        to_json({**plain(found), "same": found.same})
    elif not found.wrong:
        _show(found)
    if found.wrong:
        if not as_json:
            raise InputError("\n".join(map(_mistake, found.wrong)))
        raise typer.Exit(1)
    if any(not one.good for one in found.examples):
        raise typer.Exit(1)


def _show(found: Try) -> None:
    if not found.whole:
        out.print(
            f"Only the newest {found.searched:,} of {found.total:,} stories were read in time, back to "
            f"{clock(found.reached)}; the counts are of these.",
            style="yellow",
        )
    was = f", was {found.was:,}" if found.was is not None else ""
    out.print(f"{found.searched:,} stories of {found.period} days searched in {found.seconds:.1f} s.")
    out.print(f"Stories: {found.hits:,}{was}; {found.hits / found.period:.1f} a day.")
    for number, alerts in enumerate(found.alerts):
        before = f", was {found.alerts_were[number].a_day:.1f}" if found.alerts_were else ""
        who = ", ".join(alerts.who) or "by the usual settings, since nobody takes it right away so far"
        kept = f"; {alerts.limited:,} stories kept back by the limit" if alerts.limited else ""
        out.print(told(f"Alerts a day: {alerts.a_day:.1f}{before} ({who}){kept}."))
    if found.was is not None:
        out.print(f"Gained {found.gained_count:,}, lost {found.lost_count:,}, the same {found.same:,}.")
    for said in found.warnings:
        out.print(told(f"Warning: {said}", "yellow"))
    out.print()
    most = max((draft for _, draft, _ in found.days), default=0)
    for day, draft, saved in found.days:
        bar = "█" * round(_BAR * draft / most) if most else ""
        compared = f" (was {saved})" if found.was is not None and saved != draft else ""
        out.print(f"{day} {draft:6,} {bar}{compared}", markup=False)
    for sign, changes in (("+", found.gained), ("-", found.lost)):
        for one in changes[:_LISTED]:
            _change(sign, one)
    for example in found.examples:
        mark, wanted = ("✓", "passes") if example.good else ("✗", "FAILS")
        said = f"{mark} {wanted}: {example.title} ({'must match' if example.wanted else 'must not match'})"
        out.print(told(said + (f": {example.why}" if example.why else ""), "" if example.good else "red"))


def _mistake(one: Wrong) -> str:
    remedy = f"\nFix: {one.remedy}" if one.remedy else ""
    return f"{one.message}\n    {one.source}\n    {one.carets}{remedy}"


def _change(sign: str, one: Change) -> None:
    title = "".join(text for text, _ in one.title)
    hang(Text.assemble(f"{sign} ", told(title, "bold"), "  ", told(f"{one.source}, {clock(one.at)}")))
    if one.cause:
        hang(told(one.cause, "dim"), 2)

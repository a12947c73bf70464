"""The command of who is told, and what they set."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from monitor.cli.common import CONFIG, DATA, Config, Data, Json, cli, clock, out, table, to_json, told, using
from monitor.preferences import Difference
from monitor.service import people


@cli.command()
def subscribers(
    subscriber: Annotated[
        str, typer.Argument(metavar="SUBSCRIBER", help="Whom to show; without one, everybody is shown.")
    ] = "",
    clear: Annotated[
        bool, typer.Option("--clear", help="Take back all that it set: it follows the files again.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove one who signed up, with the address.")] = False,
    link: Annotated[
        bool, typer.Option("--link", help="Print a signed link by which it chooses, good for 30 days.")
    ] = False,
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Show who is told, of the files or signed up, and where what they set differs from the files."""
    if clear + remove + link > 1 or (not subscriber and clear + remove + link):
        raise typer.BadParameter("write one of --clear, --remove and --link, and for whom: `subscribers NAME --clear`")
    with using(config, data) as app:
        now = app.now()
        if clear:
            count = people.clear(app, subscriber, now)
            out.print(f"{subscriber} follows the files again: {_things(count)} taken back.", markup=False)
            return
        if remove:
            people.remove(app, subscriber, now)
            out.print(f"{subscriber} is removed, with the address.", markup=False)
            return
        view = people.person_of(app, subscriber, now) if subscriber else None
        if link:
            print(app.preferences_link(subscriber, now))  # noqa: T201 - the command line's own output
            return
        everybody = people.people(app, now) if view is None else (view.person,)
    if as_json:
        history = view.history if view is not None else ()
        to_json({"subscribers": everybody, **({"history": history} if view is not None else {})})
        return
    made = table("subscriber", "name", "from", "state")
    for one in everybody:
        since = f"signed up {clock(one.signed_up_at)}" if one.signed_up_at is not None else "subscribers.yaml"
        made.add_row(one.name, told(one.title), since, _state(one))
    out.print(made if everybody else "There is nobody to tell.")
    for one in everybody:
        for difference in one.differences:
            out.print(Text(f"{one.name} has set {_said(difference)}"))
    for row in view.history if view is not None else ():
        what = f"{row.key} {row.topic}".rstrip()
        setting = f"{row.setting}{f' until {clock(row.until)}' if row.until else ''}" if row.setting else "taken back"
        out.print(Text(f"{clock(row.set_at)}  {what}: {setting}{f', by {row.by}' if row.by else ''}"))


def _things(count: int) -> str:
    return "1 setting" if count == 1 else f"{count} settings"


def _state(one: people.Person) -> str:
    if not one.enabled:
        return "switched off"
    if one.left:
        return "unsubscribed"
    return f"paused until {clock(one.paused_until)}" if one.paused_until else "on"


def _said(one: Difference) -> str:
    what = f"{one.key} {one.topic}".rstrip()
    return f"{what}: {one.chosen} (files: {one.files})"

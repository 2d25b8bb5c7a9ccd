"""`harchos config`: read and write settings."""

from __future__ import annotations

import typer

from harchos_infra.cli.output import Format, FormatOption, note, print_json, print_table

app = typer.Typer(help="Read and write settings.", no_args_is_help=True, rich_markup_mode=None)


@app.command("set")
def set_(key: str, value: str) -> None:
    """Set KEY (such as local.zone) to VALUE."""
    from harchos_infra.settings import set_value

    if key == "signal":
        from harchos_infra.grid.parse import signal_names

        signal_names(value)
    set_value(key, value)
    if key == "local.zone":
        _warn_unless_known(value)


def _warn_unless_known(zone: str) -> None:
    from harchos_infra.grid.replay import builtin_replay
    from harchos_infra.grid.signal import nearest_zone

    known = builtin_replay().zones()
    if zone not in known:
        hint = nearest_zone(zone, known) or "a plan needs `--signal replay:DIR`"
        note(f"warning: no carbon data for zone {zone!r} is built in: {hint}")


@app.command()
def get(key: str) -> None:
    """Print the value of KEY."""
    from harchos_infra.settings import get_value

    value = get_value(key)
    typer.echo("" if value is None else str(value))


@app.command()
def unset(key: str) -> None:
    """Forget KEY."""
    from harchos_infra.settings import unset_value

    unset_value(key)


@app.command("list")
def list_(format: Format = FormatOption) -> None:
    """List every setting with the value in force; keys are not shown (`harchos config get KEY` does)."""
    from harchos_infra.settings import KEYS, SECRET_KEYS, get_value

    values = {key: get_value(key) for key in KEYS}
    values |= {key: "(hidden)" for key in SECRET_KEYS if values[key] is not None}
    if format is Format.JSON:
        print_json({"schema": "harchos.settings/1", "settings": values})
    else:
        print_table(["setting", "value"], [[k, "-" if v is None else str(v)] for k, v in values.items()])

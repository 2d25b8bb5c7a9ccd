"""The `harchos` command: registers the commands and turns every expected failure into one message."""

from __future__ import annotations

import gc
import os
import sys

import typer

from harchos_infra.cli import (
    apply,
    calibrate,
    cancel,
    carbon,
    catalog,
    config,
    controller,
    destroy,
    doctor,
    events,
    init,
    logs,
    offers,
    plan,
    regions,
    render,
    report,
    resume,
    retry,
    schema,
    simulate,
    status,
    sweep,
    validate,
)
from harchos_infra.cli.output import discard, open_streams
from harchos_infra.errors import HarchosError

app = typer.Typer(
    name="harchos",
    help="Plan GPU workloads by grid carbon and price, run them on short-lived hubs, report what they cost.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Newer typers vendor click: the class is taken from typer's own hierarchy.
_ClickError: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app.command("init")(init.init)
app.command("validate")(validate.validate)
app.command("schema")(schema.schema)
app.command("regions")(regions.regions)
app.command("offers")(offers.offers)
app.command("carbon")(carbon.carbon)
app.command("plan")(plan.plan)
app.command("simulate")(simulate.simulate)
app.command("render")(render.render)
app.command("apply")(apply.apply)
app.command("controller")(controller.controller)
app.command("status")(status.status)
app.command("logs")(logs.logs)
app.command("events")(events.events)
app.command("resume")(resume.resume)
app.command("retry")(retry.retry)
app.command("cancel")(cancel.cancel)
app.command("destroy")(destroy.destroy)
app.command("sweep")(sweep.sweep)
app.command("doctor")(doctor.doctor)
app.command("report")(report.report)
app.command("calibrate")(calibrate.calibrate)
app.add_typer(catalog.app, name="catalog")
app.add_typer(config.app, name="config")


def _version(value: bool) -> None:
    if value:
        from harchos_infra import __version__

        typer.echo(f"harchos {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line; exit codes are documented in docs/architecture.md."""
    open_streams()
    # Offers and candidates live until the end: the collector would look through them again and again.
    gc.set_threshold(100_000, 50, 50)
    # Else pydantic reads every installed distribution in search of plugins: 30 ms. Children do not get this.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Matrices are small: on a busy machine, threads that wait for each other take 30 times as long.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = app(standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        code = 130
        typer.echo("aborted", err=True)
    except _ClickError as error:
        error.show()  # type: ignore[attr-defined]
        code = 1
    except HarchosError as error:
        typer.echo(f"error: {error.what}", err=True)
        if error.hint:
            typer.echo(f"  hint: {error.hint}", err=True)
        code = error.exit_code
    except (BrokenPipeError, SystemExit) as error:
        # A reader that has seen enough is no error; typer turns some of these into an exit with 1.
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        discard(sys.stdout)
        code = 0
    except OSError as error:
        typer.echo(f"error: {error.filename or 'system'}: {error.strerror or error}", err=True)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)

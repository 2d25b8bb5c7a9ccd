"""`harchos plan`: decide when and where a workload, or a fleet of them, runs, and say why."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harchos_infra.cli.forecast_option import Forecast, ForecastOption, signal_for
from harchos_infra.cli.moment import NowOption, parse_now
from harchos_infra.cli.output import SIGNAL_HELP, note
from harchos_infra.cli.policy_option import PolicyOption, policy_for

if TYPE_CHECKING:
    from datetime import datetime

    from harchos_infra.cli.plan_terraform import Creation
    from harchos_infra.grid.signal import Signal
    from harchos_infra.planner.plan import Plan
    from harchos_infra.policy.loader import LoadedPolicy

WOULD_CREATE = 2
INFEASIBLE = 3
FELL_BACK = 5


class PlanFormat(StrEnum):
    """Format of a plan on standard output."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


def plan(
    files: list[Path] = typer.Argument(
        ..., metavar="FILE...", help="A workload document; several, or a directory of them: a fleet."
    ),
    now: str = NowOption,
    signal: str = typer.Option(None, "--signal", metavar="SIGNAL", help=SIGNAL_HELP),
    forecast: Forecast | None = ForecastOption,
    format: PlanFormat = typer.Option(PlanFormat.TABLE, "--format", "-o", help="Output format."),
    out: Path = typer.Option(
        None,
        "--out",
        metavar="PLAN",
        help="Write the plan file, too: for `apply` and `render`. Of a fleet: a folder of them.",
    ),
    quotas: Path = typer.Option(
        None, "--quotas", metavar="QUOTAS", help="How much may be up at once (docs/fleets.md)."
    ),
    policy: Path | None = PolicyOption,
    html: Path = typer.Option(
        None, "--html", dir_okay=False, metavar="PAGE", help="Write a web page of the plan, too."
    ),
    detailed_exitcode: bool = typer.Option(
        False, "--detailed-exitcode", help="Exit with 2 if something would be created."
    ),
    explain: bool = typer.Option(
        False, "--explain", help="List every candidate that lost, with its numbers."
    ),
    terraform: bool = typer.Option(
        False, "--terraform", help="Run `terraform plan`, too: what would be created, beside its price."
    ),
) -> None:
    """Decide when and where the workloads of FILE run; nothing is created."""
    moment = parse_now(now)
    source = signal_for(signal, forecast, moment)
    rules = policy_for(policy)
    if len(files) > 1 or files[0].is_dir() or (quotas is not None and not _is_queue(files[0])):
        if html is not None:
            raise typer.BadParameter("a page is of one workload, without --quotas", param_hint="--html")
        if terraform:
            raise typer.BadParameter("for one workload, without --quotas", param_hint="--terraform")
        _plan_fleet(files, quotas, moment, source, rules, format, out, detailed_exitcode, explain)
        return
    from harchos_infra.cli.planning import make_plan

    made, loaded = make_plan(files[0], now=moment, signal=source, policy=rules, quotas=quotas)
    from harchos_infra.cli.plan_terraform import creations

    created = creations(made, loaded) if terraform and made.chosen is not None else []
    typer.echo(_render(made, format, explain, created), nl=False)
    if out is not None:
        write_plan(out, made)
        note(f"{out}: plan of {made.workload['metadata']['name']}")
    if html is not None:
        from harchos_infra.cli.output import write_page
        from harchos_infra.cli.plan_page import plan_page
        from harchos_infra.cli.planning import catalog_for

        write_page(html, plan_page(made, catalog_for(loaded), source))
        note(f"{html}: page of the plan of {made.workload['metadata']['name']}")
    if made.chosen is None:
        if format is PlanFormat.JSON:
            note(f"no candidate is feasible; nearest miss: {made.nearest_miss}")
        raise typer.Exit(INFEASIBLE)
    _refuse_fallen(made)
    if detailed_exitcode:
        raise typer.Exit(WOULD_CREATE)


def _is_queue(path: Path) -> bool:
    from harchos_infra.workload.loader import load

    return load(path).workload.spec.items is not None


def _plan_fleet(
    files: list[Path],
    quotas: Path | None,
    now: datetime,
    signal: Signal,
    policy: LoadedPolicy | None,
    format: PlanFormat,
    out: Path | None,
    detailed_exitcode: bool,
    explain: bool,
) -> None:
    from harchos_infra.cli import fleet

    made = fleet.make_fleet(files, quotas=quotas, now=now, signal=signal, policy=policy)
    typer.echo(fleet.show(made, format, explain=explain), nl=False)
    if out is not None:
        fleet.write(out, made)
    without_place = [entry.member.name for entry in made.entries if entry.plan.chosen is None]
    if without_place:
        if format is PlanFormat.JSON:
            note(f"without a place: {', '.join(without_place)}")
        raise typer.Exit(INFEASIBLE)
    for entry in made.entries:
        _refuse_fallen(entry.plan)
    if detailed_exitcode:
        raise typer.Exit(WOULD_CREATE)


def _refuse_fallen(made: Plan) -> None:
    """Exit with 5 if the choice rests on zones that fell back to another signal."""
    from harchos_infra.planner.reliance import rests_on

    fallen = rests_on(made)
    if fallen:
        note(f"the choice rests on zones that fell back: {', '.join(fallen)} (exit code {FELL_BACK})")
        raise typer.Exit(FELL_BACK)


def _render(plan: Plan, format: PlanFormat, explain: bool, created: list[Creation]) -> str:
    from harchos_infra.cli.plan_terraform import section, with_creations

    if format is PlanFormat.JSON:
        return with_creations(plan.dumps(), created) if created else plan.dumps()
    from harchos_infra.cli.output import text_width
    from harchos_infra.cli.plan_view import WIDTH, render_markdown, render_text

    more = [section(created)] if created else []
    if format is PlanFormat.MARKDOWN:
        return render_markdown(plan, explain=explain, more=more)
    return render_text(plan, explain=explain, width=text_width(WIDTH), more=more)


def write_plan(path: Path, plan: Plan) -> None:
    """Write the plan file, readable by its owner only, whole or not at all; a device or a pipe as it is."""
    from harchos_infra.errors import HarchosError
    from harchos_infra.private_file import write_private

    try:
        path = path.resolve()
        if path.exists() and not path.is_file():
            path.write_text(plan.dumps(), encoding="utf-8")
        else:
            write_private(path, plan.dumps())
    except OSError as error:
        raise HarchosError(
            f"{path}: {error.strerror}", hint="name a file in a folder that you can write to"
        ) from error

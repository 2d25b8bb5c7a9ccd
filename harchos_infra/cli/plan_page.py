"""`harchos plan --html`: gathers what the page shows beside the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harchos_infra.planner.plan import Plan
    from harchos_infra.workload.loader import LoadedWorkload


def plan_page(plan: Plan, loaded: LoadedWorkload, signal: str | None) -> str:
    """Return the page of a plan made of this workload on this signal (`--signal`)."""
    from harchos_infra.cli.plan_view import caution, headline, inputs
    from harchos_infra.cli.planning import catalog_for
    from harchos_infra.grid.parse import parse_signal
    from harchos_infra.report.atlas import Atlas
    from harchos_infra.report.plan_page import render_plan_page
    from harchos_infra.report.section import Section

    cautions = list(caution(plan))
    said = [line for line in headline(plan) if line not in cautions and not line.startswith("saving against")]
    table = inputs(plan)
    return render_plan_page(
        plan,
        Atlas.of(plan, catalog_for(loaded).regions, parse_signal(signal)),
        headline=said,
        cautions=cautions,
        inputs=Section(table.title, table.headers, table.rows, table.right, table.lines),
    )

"""`harchos plan --html`: gathers what the page shows beside the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harchos_infra.catalog import Catalog
    from harchos_infra.grid.signal import Signal
    from harchos_infra.planner.plan import Plan


def plan_page(plan: Plan, catalog: Catalog, signal: Signal) -> str:
    """Return the page of a plan that was made from this catalogue on this signal."""
    from harchos_infra.cli.plan_view import cautions, headline, provenance
    from harchos_infra.report.atlas import Atlas
    from harchos_infra.report.plan_page import render_plan_page
    from harchos_infra.report.section import Section

    careful = cautions(plan)
    said = [line for line in headline(plan) if line not in careful and not line.startswith("saving against")]
    return render_plan_page(
        plan,
        Atlas.of(plan, catalog.regions, signal),
        headline=said,
        cautions=careful,
        provenance=[Section(s.title, s.headers, s.rows, s.right, s.lines) for s in provenance(plan)],
    )

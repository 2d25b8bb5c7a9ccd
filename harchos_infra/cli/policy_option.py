"""`--policy`: the rules of an organisation, for plans and again for what is carried out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harchos_infra.cli.output import note

if TYPE_CHECKING:
    from harchos_infra.planner.plan import Plan
    from harchos_infra.policy.loader import LoadedPolicy
    from harchos_infra.workload.loader import LoadedWorkload

PolicyOption = typer.Option(
    None,
    "--policy",
    metavar="POLICY",
    help="Rules to keep to (docs/policy.md); else $HARCHOS_POLICY, else the nearest harchos.policy.yaml.",
)


def policy_for(option: Path | None) -> LoadedPolicy | None:
    """Return the policy that holds here, and say on standard error which it is; None where there is none."""
    from harchos_infra.policy.find import find_policy

    path = find_policy(option)
    if path is None:
        return None
    from harchos_infra.policy.loader import load_policy

    loaded = load_policy(path)
    note(f"policy: {loaded.path} ({loaded.name})")
    return loaded


def recorded_with(plan: Plan) -> LoadedPolicy | None:
    """Return the policy that a plan was made under, for where none holds by itself."""
    from harchos_infra.policy.loader import recorded_policy

    recorded = recorded_policy(plan.inputs)
    if recorded is not None:
        note(f"policy: {recorded.path} ({recorded.name}), as the plan records it; there is none here")
    return recorded


def refuse_if_forbidden(policy: LoadedPolicy | None, plan: Plan, loaded: LoadedWorkload) -> None:
    """Raise InfeasibleError naming every rule of the policy that the plan breaks."""
    if policy is None:
        return
    from harchos_infra.cli.planning import catalog_for
    from harchos_infra.errors import InfeasibleError
    from harchos_infra.planner.policing import of_plan

    broken = of_plan(policy, plan, loaded.workload, catalog_for(loaded))
    if broken:
        raise InfeasibleError(
            f"{policy.path}: the policy {policy.name} forbids this plan\n"
            + "\n".join(f"  {miss.reason}: {miss.detail}" for miss in broken),
            hint=f"plan again under it: harchos plan {plan.inputs['workload']['path']}",
        )

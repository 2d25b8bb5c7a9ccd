"""A run keeps to the policy that it was accepted under, whichever its plan was made under."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harchos_infra.grid.replay import builtin_replay
from harchos_infra.planner.planner import plan
from harchos_infra.policy.loader import recorded_policy
from harchos_infra.runs.catalog import catalog_for
from harchos_infra.runs.clock import RealClock
from harchos_infra.runs.job import HubSettings
from harchos_infra.runs.ledger import Ledger
from harchos_infra.runs.submit import Submission, plan_hash, submit
from harchos_infra.settings import set_value
from harchos_infra.workload.loader import load
from support.policies import policy_of

DOCUMENT = {
    "apiVersion": "harchos.dev/v1",
    "kind": "Workload",
    "metadata": {"name": "job"},
    "spec": {"type": "batch", "command": "true", "duration": "1h", "placement": {"providers": ["local"]}},
}


@pytest.mark.parametrize("now_held", [True, False])
def test_the_ledger_has_the_policy_that_held_at_apply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now_held: bool
) -> None:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    set_value("local.zone", "DE")
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(DOCUMENT))
    loaded = load(path)
    then, held = policy_of("maxPrice: 9"), policy_of("maxPrice: 5")
    made = plan(
        loaded.workload,
        catalog=catalog_for(loaded.workload),
        signal=builtin_replay(),
        now=datetime.now(UTC),
        source={"path": str(path), "sha256": loaded.sha256},
        policy=then,
    )
    submission = Submission(
        made, loaded, {}, False, None, HubSettings("none", "host", {}), held.record() if now_held else None
    )
    ledger = Ledger.open()
    lease = submit(ledger, submission, owner="x", clock=RealClock())
    assert recorded_policy(ledger.plan(lease.run)["inputs"]) == (held if now_held else then)
    assert ledger.run(lease.run)["plan_hash"] == plan_hash(made)

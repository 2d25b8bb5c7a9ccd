"""A run keeps to the policy that it was accepted under, whichever its plan was made under."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.grid.replay import builtin_replay
from harchos_infra.planner.planner import plan
from harchos_infra.policy.loader import LoadedPolicy, recorded_policy
from harchos_infra.runs.catalog import catalog_for
from harchos_infra.runs.clock import RealClock
from harchos_infra.runs.ledger import Ledger
from harchos_infra.runs.replan import Replanner
from harchos_infra.runs.rest import Worked
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
    submission = Submission(made, loaded, {}, False, None, policy=held.record() if now_held else None)
    ledger = Ledger.open()
    lease = submit(ledger, submission, owner="x", clock=RealClock())
    assert recorded_policy(ledger.plan(lease.run)["inputs"]) == (held if now_held else then)
    assert ledger.run(lease.run)["plan_hash"] == plan_hash(made)


NOW = datetime(2026, 7, 1, tzinfo=UTC)


def begun(tmp_path: Path, policy: LoadedPolicy | None) -> dict[str, Any]:
    """Plan a job for any cloud; return the document that the ledger keeps."""
    spec = {"type": "batch", "command": "true", "duration": "1h", "resources": {"gpu": {"type": "T4"}}}
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps({**DOCUMENT, "spec": spec}))
    loaded = load(path)
    source = {"path": str(path), "sha256": loaded.sha256}
    catalog = catalog_for(loaded.workload)
    made = plan(
        loaded.workload, catalog=catalog, signal=builtin_replay(), now=NOW, source=source, policy=policy
    )
    return made.to_json()


def offer(document: dict[str, Any]) -> tuple[str, str, str, str]:
    place = document["chosen"]["segments"][0]
    return place["provider"], place["region"], place["instanceType"], place["market"]


def test_the_next_best_after_a_failure_keeps_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    free, held = begun(tmp_path, None), begun(tmp_path, policy_of("countries: [SE]"))
    regions = {}
    for name, document in (("free", free), ("held", held)):
        again = Replanner(
            document, signal=None, now=NOW, rehearsal=True, failed={offer(free), offer(held)}
        ).next_best()
        regions[name] = again.segments[0].region
    assert regions["held"] in ("eu-north-1", "swedencentral", "europe-north2")
    assert regions["free"] != regions["held"]


def test_each_hour_it_is_planned_within_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    document = begun(tmp_path, policy_of("countries: [SE]"))
    replanner = Replanner(document, signal=None, now=NOW, rehearsal=True)
    assert replanner.reconsider(document["chosen"]["segments"]).why == "it is still the best"
    del document["inputs"]["policy"]
    moved = Replanner(document, signal=None, now=NOW, rehearsal=True)
    assert moved.reconsider(document["chosen"]["segments"]).why != "it is still the best"


def test_what_its_hubs_have_cost_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    document = begun(tmp_path, policy_of("maxCost: 2"))
    place = document["chosen"]["segments"][0]
    worked = [Worked(place, seconds=60.0, lived_s=7200.0 / place["priceUsdHour"])]
    replanner = Replanner(document, signal=None, now=NOW, rehearsal=True, worked=worked)
    with pytest.raises(HarchosError, match=r"maxCost of the policy \(p\.yaml:5\) raised to"):
        replanner.next_best()

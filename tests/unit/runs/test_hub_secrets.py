"""A hub on a cloud gets references to its secrets, stored before it is made and deleted with the run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harchos_infra.clouds import gcp_session
from harchos_infra.errors import HarchosError
from harchos_infra.hub.job import Job
from harchos_infra.runs.job import job_document
from harchos_infra.runs.mailboxes import hub_box, job_box, node_boxes_of
from harchos_infra.runs.stage import forget_secrets, stage_hub
from harchos_infra.workload.document import Workload
from support.fake_gcp import PROJECT
from support.fake_secret_manager import FakeSecretManager

VALUE, RUN = "s3cr3t-of-a-hub", "llm-abc123"
EXPIRES = datetime.now(UTC) + timedelta(hours=3)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in [n for n in os.environ if n.startswith(("GOOGLE_", "CLOUDSDK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(gcp_session, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(gcp_session, "RETRY_FOR_S", 0.1)
    return tmp_path / "home"


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeSecretManager]:
    with FakeSecretManager() as fake:
        for name, value in fake.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield fake


def rows(tmp_path: Path, *, rehearsal: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Stage a job with a secret; return the rows of its run and its hub on Google Cloud."""
    workload = Workload.model_validate(
        {
            "apiVersion": "harchos.dev/v1",
            "kind": "Workload",
            "metadata": {"name": "llm"},
            "spec": {"type": "batch", "command": "true", "secrets": [{"name": "HF_TOKEN"}]},
        },
        by_name=False,
    )
    box = job_box(RUN)
    box.put_json("job.json", job_document(workload, run=RUN, secret_names=frozenset({"HF_TOKEN"})))
    box.put_json("secrets.json", {"HF_TOKEN": VALUE})
    place = {
        "provider": "gcp", "region": "europe-north1", "zone": "FI", "instanceType": "e2-standard-4",
        "market": "on-demand", "nodes": 1, "priceUsdHour": 0.2,
    }  # fmt: skip
    hub = {
        "run": RUN,
        "hub": f"{RUN}-h1",
        "place": place,
        "mailbox": (tmp_path / "bucket").as_uri(),
        "identity": PROJECT,
        "expires_at": EXPIRES.timestamp(),
    }
    return {"id": RUN, "workload": "llm", "rehearsal": rehearsal}, hub


@pytest.fixture(autouse=True)
def a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the watts of a machine nor its agent are a matter here."""
    from harchos_infra.runs import stage
    from harchos_infra.runs.hub_settings import HubSettings

    watts = {"cpu_watts_per_core_idle": 1.0, "cpu_watts_per_core_max": 2.0, "memory_watts_per_gib": 0.1}
    model = {**watts, "gpu_watts_idle": 0.0, "gpu_watts_max": 0.0, "source": "test"}
    monkeypatch.setattr(stage, "hub_settings", lambda *_, **__: HubSettings("auto", "exact", model))
    monkeypatch.setattr(stage, "stage_agent", lambda *_: None)


def test_the_hub_gets_a_reference_and_its_bucket_no_value(google: FakeSecretManager, tmp_path: Path) -> None:
    run, hub = rows(tmp_path)
    stage_hub(run, hub, [])
    job = Job.parse(hub_box(hub).get_json("job.json"))
    reference = f"gcpsm://projects/{PROJECT}/secrets/harchos-{RUN}-HF-TOKEN/versions/latest"
    assert (job.secret_names, job.secret_refs) == (("HF_TOKEN",), {"HF_TOKEN": reference})
    assert google.value(f"harchos-{RUN}-HF-TOKEN") == VALUE
    holding = [p for p in (tmp_path / "bucket").rglob("*") if p.is_file() and VALUE in p.read_text()]
    assert holding == []
    assert not hub_box(hub).exists("secrets.json")


def test_every_node_of_a_hub_gets_the_job_and_its_references(
    google: FakeSecretManager, tmp_path: Path
) -> None:
    run, hub = rows(tmp_path)
    hub["place"]["nodes"] = 2
    stage_hub(run, hub, [])
    jobs = [Job.parse(box.get_json("job.json")) for box in node_boxes_of(hub)]
    assert [job.hub for job in jobs] == [hub["hub"]] * 2
    assert jobs[0].secret_refs == jobs[1].secret_refs != {}


def test_staging_it_again_after_a_crash_changes_nothing(google: FakeSecretManager, tmp_path: Path) -> None:
    run, hub = rows(tmp_path)
    stage_hub(run, hub, [])
    before = hub_box(hub).get_json("job.json")
    stage_hub(run, hub, [])
    assert hub_box(hub).get_json("job.json") == before
    assert len(google.secrets) == 1


def test_a_run_that_needs_no_other_hub_leaves_no_secret_here_nor_there(
    google: FakeSecretManager, tmp_path: Path, home: Path
) -> None:
    run, hub = rows(tmp_path)
    stage_hub(run, hub, [])
    following = {**hub, "hub": f"{RUN}-h2"}
    stage_hub(run, following, [hub])
    assert google.value(f"harchos-{RUN}-HF-TOKEN") == VALUE
    forget_secrets(run, [hub, following])
    forget_secrets(run, [hub, following])
    assert google.secrets == {}
    assert [p for p in home.rglob("*") if p.is_file() and VALUE in p.read_text(errors="ignore")] == []


def test_a_stand_in_of_a_rehearsal_is_sent_its_secrets_by_mailbox(
    google: FakeSecretManager, tmp_path: Path
) -> None:
    run, hub = rows(tmp_path, rehearsal=True)
    stage_hub(run, hub, [])
    assert hub_box(hub).get_json("secrets.json") == {"HF_TOKEN": VALUE}
    assert "secret_refs" not in (hub_box(hub).get_json("job.json") or {})
    forget_secrets(run, [hub])
    assert google.requests == []


def test_secrets_that_an_agent_took_before_it_was_killed_are_sent_to_the_next_of_its_hub(
    tmp_path: Path,
) -> None:
    run, hub = rows(tmp_path, rehearsal=True)
    stage_hub(run, hub, [])
    hub_box(hub).put_json("heartbeat.json", {"seq": 1})
    hub_box(hub).delete("secrets.json")
    stage_hub(run, hub, [])
    assert hub_box(hub).get_json("secrets.json") == {"HF_TOKEN": VALUE}


def test_where_the_store_refuses_no_job_is_sent(google: FakeSecretManager, tmp_path: Path) -> None:
    google.denied.add("secretmanager.versions.add")
    run, hub = rows(tmp_path)
    with pytest.raises(HarchosError, match=r"secretmanager\.versions\.add") as refused:
        stage_hub(run, hub, [])
    assert VALUE not in f"{refused.value.what}{refused.value.hint}"
    assert not hub_box(hub).exists("job.json")
    assert google.secrets == {}

"""The files people start from, each carried out by `harchos apply` on this machine."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.conftest import Road

CONFIGS = Path(__file__).parents[2] / "configs"


def ready_endpoint(road: Road) -> str | None:
    """Return the endpoint of the only run, once its hub says that it is ready."""
    rows = road.status()["runs"]
    return rows[0]["endpoint"] if rows and rows[0]["job"] == "ready" else None


@pytest.mark.parametrize("name", ["pipeline/csv-to-parquet", "batch/source-stats"])
def test_a_job_on_files_runs_and_its_units_are_reported(road: Road, name: str) -> None:
    done = road.harchos("apply", CONFIGS / f"{name}.yaml", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(road.harchos("report", "--format", "json").stdout)
    assert report["run"]["outcome"] == "succeeded"
    assert sum(report["units"].values()) > 0
    assert report["outputs"]
    assert road.left() == []


@pytest.mark.slow
@pytest.mark.container
def test_digits_is_rehearsed_in_a_container(container_road: Road) -> None:
    road = container_road
    plan = road.work / "plan.json"
    assert road.harchos("plan", CONFIGS / "training" / "digits.yaml", "--out", plan).returncode == 0
    rehearsal = road.start("apply", plan, "--rehearse", "--yes")
    out, _ = rehearsal.communicate(timeout=400)
    assert rehearsal.returncode == 0, out
    assert "podman" in out
    run = road.run_row()["run"]
    metrics = json.loads((road.home / "runs" / run / "outputs" / "metrics.json").read_text())
    assert metrics["accuracy"] >= 0.97
    assert road.left() == []


@pytest.mark.slow
def test_an_inference_hub_streams_to_the_openai_client_until_it_is_destroyed(road: Road) -> None:
    from openai import OpenAI

    apply = road.start("apply", CONFIGS / "inference" / "tiny-llm-local.yaml", "--yes")
    road.wait_for(road.job_is_ready, patience_s=180)
    endpoint = ready_endpoint(road)
    assert endpoint is not None
    client = OpenAI(base_url=f"{endpoint}/v1", api_key="none")
    stream = client.chat.completions.create(
        model="harchos/tiny-llm",
        messages=[{"role": "user", "content": "Where is the grid green?"}],
        max_tokens=40,
        stream=True,
    )
    chunks = [chunk for chunk in stream if chunk.choices and chunk.choices[0].delta.content]
    assert len(chunks) > 1
    run = road.run_row()["run"]
    done = road.harchos("destroy", run, "--yes")
    assert done.returncode == 0, done.stderr
    out, _ = apply.communicate(timeout=60)
    assert endpoint in out
    report = json.loads(road.harchos("report", run, "--format", "json").stdout)
    assert report["units"]["tokens"] >= 40
    assert "tokens" in report["sci"]["r"]
    assert report["sci"]["gco2ePerR"] > 0
    assert road.left() == []


@pytest.mark.slow
def test_a_dev_hub_is_rehearsed_and_answers_until_it_is_destroyed(road: Road) -> None:
    apply = road.start("apply", CONFIGS / "dev" / "workbench.yaml", "--rehearse", "--yes")
    road.wait_for(road.job_is_ready, patience_s=120)
    with urllib.request.urlopen(f"{ready_endpoint(road)}/api", timeout=10) as answer:
        assert answer.status == 200
    assert road.harchos("destroy", road.run_row()["run"], "--yes").returncode == 0
    apply.communicate(timeout=60)
    assert road.left() == []

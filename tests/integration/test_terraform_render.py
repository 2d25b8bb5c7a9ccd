"""`harchos render`: a directory that stands alone, applied here by hand."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harchos_infra.cli.main import main
from harchos_infra.cli.planning import make_plan
from harchos_infra.clouds.local import LocalCloud
from harchos_infra.grid.replay import builtin_replay
from harchos_infra.planner.plan import Plan
from harchos_infra.provision.binary import find_binary, terraform_environment

WORKLOAD = """
apiVersion: harchos.dev/v1
kind: Workload
metadata: {name: hello}
spec:
  type: batch
  command: cat greeting; env
  workdir: job
  duration: 1h
  deadline: 24h
  env:
    - {name: API_TOKEN, value: very-hidden}
  resources:
    gpu: {type: L4, count: 1}
  placement: {providers: [aws], regions: [aws/eu-north-1]}
"""


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "greeting").write_text("hello from the job\n")
    (tmp_path / "workload.yaml").write_text(WORKLOAD)
    made, _ = make_plan(tmp_path / "workload.yaml", now=datetime.now(UTC), signal=builtin_replay())
    return made


@pytest.fixture
def render(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def render(plan: Plan | bytes | None, *options: str, out: str = "tf") -> int:
        file = tmp_path / "plan.json"
        if plan is not None:
            file.write_bytes(plan if isinstance(plan, bytes) else plan.dumps().encode())
        monkeypatch.setattr(
            sys, "argv", ["harchos", "render", str(file), "--out", str(tmp_path / out), *options]
        )
        with pytest.raises(SystemExit) as left:
            main()
        assert isinstance(left.value.code, int)
        return left.value.code

    return render


def terraform(workspace: Path, *command: str) -> None:
    done = subprocess.run(
        [find_binary().path, *command],
        cwd=workspace,
        env=terraform_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rendered_hub_runs_its_job_when_applied_by_hand(plan, render, tmp_path: Path, capsys) -> None:
    assert render(plan, "--rehearse") == 0
    (workspace,) = map(Path, capsys.readouterr().out.split())
    hub = json.loads((workspace / "main.tf.json").read_text())["module"]["hub"]["hub"]
    (box,) = (tmp_path / "tf" / "mailbox").glob(f"*/{hub}")
    (box / "secrets.json").write_text('{"API_TOKEN": "very-hidden"}')
    terraform(workspace, "init", "-input=false")
    try:
        terraform(workspace, "apply", "-input=false", "-auto-approve")
        until = time.monotonic() + 60
        while not (said := "".join(log.read_text() for log in sorted(box.glob("logs/*")))):
            assert time.monotonic() < until, (box / "status.json").read_text()
            time.sleep(0.1)
    finally:
        terraform(workspace, "destroy", "-input=false", "-auto-approve")
    assert "hello from the job" in said
    assert LocalCloud().list(hub=hub) == []


def test_the_readme_says_what_to_run_and_what_is_missing(plan, render, tmp_path: Path, capsys) -> None:
    assert render(plan, "--rehearse") == 0
    (workspace,) = map(Path, capsys.readouterr().out.split())
    readme = (tmp_path / "tf" / "README.md").read_text()
    assert f"cd {workspace.parent.name}/terraform && terraform init && terraform apply" in readme
    assert "aws/eu-north-1" in readme
    assert "A rehearsal" in readme
    assert "`API_TOKEN` in `secrets.json`" in readme


def test_no_secret_is_written(plan, render, tmp_path: Path) -> None:
    assert render(plan, "--rehearse") == 0
    files = [path for path in (tmp_path / "tf").rglob("*") if path.is_file()]
    assert not any(b"very-hidden" in path.read_bytes() for path in files)


def test_several_segments_are_refused_before_anything_is_written(plan, render, tmp_path, capsys) -> None:
    (first,) = plan.chosen.segments
    second = replace(
        first, region="eu-west-3", zone="FR", start=first.end, end=first.end + timedelta(hours=1)
    )
    assert render(replace(plan, chosen=replace(plan.chosen, segments=(first, second))), "--rehearse") == 1
    assert "the plan has 2 segments" in capsys.readouterr().err
    assert not (tmp_path / "tf").exists()


def test_a_rented_hub_needs_a_rehearsal(plan, render, tmp_path: Path, capsys) -> None:
    assert render(plan) == 1
    assert "what only `harchos apply` puts into its mailbox" in capsys.readouterr().err
    assert not (tmp_path / "tf").exists()


def test_a_directory_with_something_in_it_is_left_alone(plan, render, tmp_path: Path, capsys) -> None:
    assert render(plan, "--rehearse", out="job") == 1
    assert "is not empty" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "job").iterdir()] == ["greeting"]
    assert render(plan, "--rehearse", out="workload.yaml") == 1
    assert "is not a directory" in capsys.readouterr().err


def test_a_window_that_is_over_is_refused(plan, render, capsys) -> None:
    (segment,) = plan.chosen.segments
    past = replace(
        segment,
        start=segment.start - timedelta(days=9),
        end=segment.end - timedelta(days=9),
        provider="local",
    )
    assert render(replace(plan, chosen=replace(plan.chosen, segments=(past,)))) == 1
    assert "the window of this plan ended" in capsys.readouterr().err


def test_a_workload_that_has_changed_since_is_refused(plan, render, tmp_path: Path, capsys) -> None:
    (tmp_path / "workload.yaml").write_text(WORKLOAD.replace("1h", "2h"))
    assert render(plan, "--rehearse") == 1
    assert "has changed since" in capsys.readouterr().err


def test_a_plan_that_chose_nothing_says_what_would_fit(plan, render, capsys) -> None:
    rejected = replace(plan, decision="reject", chosen=None, nearest_miss="finish 3 h later and it fits")
    assert render(rejected, "--rehearse") == 3
    assert "finish 3 h later and it fits" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"\xff\x00\xfe", b"not json", b"{}", b"[]"])
def test_what_is_no_plan_is_refused(render, capsys, content: bytes | None) -> None:
    assert render(content) == 1
    assert "plan.json" in capsys.readouterr().err

"""checkov on the plan of each cloud's complete example.

Nothing fails that is not accepted, with a reason, in a table of docs/security*.md. checkov has a venv of its
own, as it pins much: `HARCHOS_CHECKOV` or `.venv-checkov/bin/checkov`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harchos_infra.share import share_directory
from support.schema_replay import Replay

ROOT = Path(__file__).parents[2]
VARIABLES = {
    "aws": {"mailbox": "s3://acme-mailbox/harchos"},
    "gcp": {"mailbox": "gs://acme-mailbox/harchos", "project": "acme-project"},
    "azure": {
        "mailbox": "az://acmemailbox/harchos/hubs",
        "subscription": "00000000-0000-0000-0000-000000000001",
    },
}
OPTIONS = ["--framework", "terraform_plan", "--skip-download", "--soft-fail", "--quiet", "--compact"]
ROW = re.compile(
    r"^\| *`?(?P<check>CKV2?_(?P<cloud>AWS|GCP|AZURE)_\d+)`? *\|.*\| *(?P<reason>\S[^|]*?) *\|$", re.M
)


def module(cloud: str) -> Path:
    return share_directory("terraform") / "modules" / f"{cloud}-hub"


def accepted(cloud: str) -> set[str]:
    """Checks that the docs accept for a cloud: rows of a table, the check first and the reason last."""
    pages = sorted((ROOT / "docs").glob("security*.md"))
    rows = [row for page in pages for row in ROW.finditer(page.read_text(encoding="utf-8"))]
    return {row["check"] for row in rows if row["cloud"] == cloud.upper()}


@pytest.fixture(scope="module")
def checkov() -> Path:
    program = Path(os.environ.get("HARCHOS_CHECKOV") or ROOT / ".venv-checkov" / "bin" / "checkov")
    if not program.exists():
        pytest.skip(
            f"{program} is not there: python3 -m venv .venv-checkov && .venv-checkov/bin/pip install checkov"
        )
    return program


@pytest.fixture(scope="module")
def replay() -> Iterator[Replay]:
    with Replay() as replay:
        replay.answers["aws_ec2_instance_type"] = {"supported_placement_strategies": ["cluster"]}
        yield replay


def planned(cloud: str, replay: Replay, folder: Path) -> Path:
    """Plan the complete example of a cloud; return the plan as JSON."""
    shutil.copytree(share_directory("terraform"), folder / "terraform")
    example = folder / "terraform" / "modules" / f"{cloud}-hub" / "examples" / "complete"
    values = {**VARIABLES[cloud], "expires": "2026-11-26T06:00:00Z"}
    environment = replay.full_environment() | {f"TF_VAR_{name}": value for name, value in values.items()}

    def terraform(*arguments: str) -> str:
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=example,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    terraform("init")
    terraform("plan", "-input=false", "-out=plan.bin")
    plan = example / "plan.json"
    plan.write_text(terraform("show", "-json", "plan.bin"), encoding="utf-8")
    return plan


def failed(checkov: Path, plan: Path) -> dict[str, str]:
    """Return what fails: what each check asks for, by its id."""
    done = subprocess.run(
        [checkov, "--file", plan, "--output", "json", *OPTIONS],
        env={**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["passed"] > 0
    assert report["summary"]["parsing_errors"] == 0
    return {
        one["check_id"]: f"{one['check_name']} ({one['resource']})"
        for one in report["results"]["failed_checks"]
    }


@pytest.mark.slow
@pytest.mark.parametrize("cloud", [cloud for cloud in VARIABLES if module(cloud).is_dir()])
def test_no_check_fails_that_is_not_accepted_with_a_reason(
    cloud: str, checkov: Path, replay: Replay, tmp_path: Path
) -> None:
    found = failed(checkov, planned(cloud, replay, tmp_path))

    assert {check: what for check, what in found.items() if check not in accepted(cloud)} == {}
    assert accepted(cloud) - found.keys() == set(), (
        "accepted in docs/security*.md, but nothing fails it any more"
    )

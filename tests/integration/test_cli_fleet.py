"""`harchos plan` with several workloads, as a user meets it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from harchos_infra.cli.planning import plan_or_replan, refuse_if_drifted
from harchos_infra.errors import HarchosError
from support.command import Harchos

ROOT = Path(__file__).parents[2]
DIGITS = (ROOT / "configs" / "training" / "digits.yaml").read_text()
QUOTAS = str(ROOT / "configs" / "quotas.yaml")
NOW = ("--now", "2022-07-01T00:00Z")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four long trainings, each of which would take the same T4."""
    fleet = tmp_path / "fleet"
    fleet.mkdir()
    longer = DIGITS.replace("10m", "3h").replace("12m", "4h").replace("maxCost: 1.00", "maxCost: 9")
    for number in range(4):
        text = longer.replace("name: digits", f"name: digits-{number}").replace("ttl: 1h", "ttl: 6h")
        (fleet / f"digits-{number}.yaml").write_text(text)
    return fleet


def test_a_directory_without_quotas_gives_each_its_own_plan(harchos: Harchos, folder: Path) -> None:
    code, out, err = harchos("plan", str(folder), *NOW, "--format", "json")
    assert (code, err) == (0, "")
    made = json.loads(out)
    assert made["schema"] == "harchos.fleet/1"
    for entry in made["workloads"]:
        alone = json.loads(harchos("plan", entry["path"], *NOW, "--format", "json")[1])
        assert (entry["chosen"], entry["decision"]) == (alone["chosen"], alone["decision"])
        assert entry["costOfQuotas"] == {"scoreUsd": 0.0, "costUsd": 0.0, "gco2e": 0.0}
    assert made["bound"]["method"] == "each alone"


def test_quotas_part_them_and_the_bytes_are_the_same_twice(harchos: Harchos, folder: Path) -> None:
    command = ("plan", str(folder), *NOW, "--quotas", QUOTAS, "--format", "json")
    first, second = harchos(*command), harchos(*command)
    assert first == second
    made = json.loads(first[1])
    spans = sorted(
        (s["start"], s["end"])
        for entry in made["workloads"]
        for s in entry["chosen"]["segments"]
        if s["region"] == "us-west-2"
    )
    assert len(spans) > 1
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert made["bound"]["scoreUsd"] <= made["totals"]["scoreUsd"]
    assert made["bound"]["gap"] < 1e-4


def test_the_table_has_a_row_each_the_gap_and_what_the_scarce_gpu_is_worth(
    harchos: Harchos, folder: Path
) -> None:
    code, out, _ = harchos("plan", str(folder), *NOW, "--quotas", QUOTAS)
    assert code == 0
    assert out.startswith("4 workloads: 4 have a place\n")
    for part in (
        "digits-0  aws/us-west-2 g4dn.xlarge",
        "sum of scores",
        "aws/us-west-2 T4  1 of 1",
        "one more T4 would save",
    ):
        assert part in " ".join(out.split()) or part in out
    code, out, _ = harchos("plan", str(folder), *NOW, "--quotas", QUOTAS, "--format", "markdown")
    assert code == 0
    assert out.startswith("### 4 workloads: 4 have a place")
    assert "| digits-0 |" in out


def test_each_gets_a_plan_file_that_holds(harchos: Harchos, folder: Path, tmp_path: Path) -> None:
    plans = tmp_path / "plans"
    code, _, err = harchos("plan", str(folder), *NOW, "--quotas", QUOTAS, "--out", str(plans))
    assert code == 0
    assert err == f"{plans}: plans of 4 workloads\n"
    starts = set()
    for number in range(4):
        path = plans / f"digits-{number}.json"
        made, loaded, _ = plan_or_replan(path)
        refuse_if_drifted(path, made, rehearse=True)
        assert loaded.workload.metadata.name == f"digits-{number}"
        assert made.chosen is not None
        starts.add((made.chosen.segments[0].offer, made.chosen.start))
    assert len(starts) == 4


def test_who_has_no_place_exits_3_and_the_others_are_planned(
    harchos: Harchos, folder: Path, tmp_path: Path
) -> None:
    for path in folder.iterdir():
        text = path.read_text().replace("homeRegion: aws/us-east-1", "regions: [aws/us-west-2]")
        path.write_text(text.replace("deadline: 36h", "deadline: 9h"))
    quotas = tmp_path / "quotas.yaml"
    quotas.write_text("quotas:\n  - {provider: aws, maxGpus: 1}\n")
    code, out, _ = harchos("plan", str(folder), *NOW, "--quotas", str(quotas), "--detailed-exitcode")
    assert code == 3
    assert out.startswith("4 workloads: 3 have a place, 1 none\n")
    assert "finish 3 h later and it fits: aws/us-west-2" in " ".join(out.split())


def test_two_of_one_name_are_an_error_with_both_files(harchos: Harchos, folder: Path) -> None:
    twice = str(folder / "digits-0.yaml")
    code, _, err = harchos("plan", twice, twice, *NOW)
    assert code == 1
    assert f"{twice} and {twice}: workloads of one fleet have the same name, 'digits-0'" in err


def test_one_file_with_quotas_is_a_fleet_of_one(harchos: Harchos, folder: Path) -> None:
    code, out, _ = harchos("plan", str(folder / "digits-0.yaml"), *NOW, "--quotas", QUOTAS)
    assert code == 0
    assert out.startswith("1 workload: it has a place\n")


def test_a_folder_without_workloads_and_a_bad_quota_file_are_errors(
    harchos: Harchos, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = harchos("plan", str(tmp_path / "empty"), *NOW)
    assert (code, "no workload in it" in err) == (1, True)
    bad = folder / "quotas.yaml"
    bad.write_text("quotas: [{provider: aws}]\n")
    code, _, err = harchos("plan", str(folder), *NOW, "--quotas", str(bad))
    assert code == 1
    assert f"{bad}:1:10: quotas[0]: maxGpus, maxInstances: one of them is missing" in err
    bad.write_text("quotas: [{provider: aws, maxGpus: 9}]\n")
    assert harchos("plan", str(folder), *NOW, "--quotas", str(bad))[0] == 0, "it is no workload of the folder"


def test_explain_adds_the_page_of_each_workload(harchos: Harchos, folder: Path) -> None:
    code, out, _ = harchos("plan", str(folder), *NOW, "--quotas", QUOTAS, "--explain")
    assert code == 0
    assert out.count("Every candidate that lost") == 4
    assert f"one of a fleet of 4 under {QUOTAS}: placed with the others" in " ".join(out.split())


QUEUE = """\
apiVersion: harchos.dev/v1
kind: Workload
metadata: {name: sweep}
spec:
  type: batch
  command: "true"
  duration: 12h
  deadline: 10h
  objective: greenest
  resources: {gpu: {count: 1, type: L4}}
  placement: {regions: [gcp/europe-west1, gcp/europe-west3]}
  items: {count: 24, maxHubs: 3}
"""


@pytest.fixture
def queue(tmp_path: Path) -> tuple[Path, Path]:
    """A queue that one L4 in each of two regions holds, and the file that says there is no more."""
    file, quotas = tmp_path / "sweep.yaml", tmp_path / "quotas.yml"
    file.write_text(QUEUE)
    quotas.write_text("quotas: [{provider: gcp, gpu: L4, maxGpus: 1}]\n")
    return file, quotas


def test_the_hubs_of_a_queue_are_shown_where_the_quotas_hold_them(
    harchos: Harchos, queue: tuple[Path, Path]
) -> None:
    file, quotas = queue
    command = ("plan", str(file), "--now", "2026-11-23T20:00Z", "--quotas", str(quotas))
    code, out, _ = harchos(*command)
    assert code == 0
    assert "Where the hubs are" in out and f"planned under {quotas}" in out
    made = json.loads(harchos(*command, "--format", "json")[1])
    assert made["schema"] == "harchos.plan/1"
    assert sum(part["hubs"] for part in made["parts"]) == made["inputs"]["queue"]["hubs"]
    assert sum(part["share"] for part in made["parts"]) == pytest.approx(1.0)
    assert {part["chosen"]["segments"][0]["region"] for part in made["parts"]} == {
        "europe-west1",
        "europe-west3",
    }
    code, page, _ = harchos(*command, "--format", "markdown")
    assert code == 0 and "**Where the hubs are**" in page


def test_a_queues_plan_is_refused_when_its_quotas_were_changed(
    harchos: Harchos, queue: tuple[Path, Path], tmp_path: Path
) -> None:
    file, quotas = queue
    out = tmp_path / "plan.json"
    now = ("--now", "2026-11-23T20:00Z")
    assert harchos("plan", str(file), *now, "--quotas", str(quotas), "--out", str(out))[0] == 0
    made, _, _ = plan_or_replan(out)
    refuse_if_drifted(out, made, rehearse=True)
    quotas.write_text("quotas: [{provider: gcp, gpu: L4, maxGpus: 2}]\n")
    with pytest.raises(HarchosError, match="was changed after the plan was made"):
        refuse_if_drifted(out, made, rehearse=True)


def test_a_queue_in_a_fleet_has_a_place_for_each_of_its_hubs(
    harchos: Harchos, queue: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, out = tmp_path / "fleet", tmp_path / "plans"
    folder.mkdir()
    (folder / "sweep.yaml").write_text(QUEUE)
    alone = QUEUE.replace("items: {count: 24, maxHubs: 3}", "").replace("sweep", "other")
    (folder / "other.yaml").write_text(alone.replace("duration: 12h", "duration: 2h"))
    now = ("--now", "2026-11-23T20:00Z")
    command = ("plan", str(folder), *now, "--quotas", str(queue[1]), "--format", "json", "--out", str(out))
    code, text, _ = harchos(*command)
    assert code == 0
    used = {found["region"]: found["peak"] for found in json.loads(text)["quotas"]}
    assert max(used.values()) == 1.0
    made = json.loads((out / "sweep.json").read_text())
    assert sum(part["hubs"] for part in made["parts"]) == made["inputs"]["queue"]["hubs"]

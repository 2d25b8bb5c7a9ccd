"""`harchos plan` as a user meets it: what it prints, writes and exits with."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from harchos_infra.cli.planning import plan_or_replan, refuse_if_drifted
from harchos_infra.errors import HarchosError
from support.command import Document, Harchos

DIGITS = str(Path(__file__).parents[2] / "configs" / "training" / "digits.yaml")
NOW = ("--now", "2022-07-01T00:00Z")


def test_the_example_gives_the_same_bytes_twice(harchos: Harchos) -> None:
    first, second = (harchos("plan", DIGITS, *NOW, "--format", "json") for _ in range(2))
    assert first == second
    code, out, err = first
    made = json.loads(out)
    assert (code, err, made["schema"], made["decision"]) == (0, "", "harchos.plan/1", "defer")
    assert made["summary"]["considered"] == len(made["rejected"]) + 1
    assert made["inputs"]["workload"]["path"] == DIGITS
    assert made["inputs"]["signal"]["name"] == "replay"


def test_the_table_says_what_where_when_why_and_what_it_saves(harchos: Harchos) -> None:
    code, out, _ = harchos("plan", DIGITS, *NOW)
    assert code == 0
    first = out.splitlines()[0]
    assert first.startswith("digits: wait ")
    assert "1 x " in first
    for part in (
        "why: least USD + carbon at 190 USD/t (balanced)",
        "saving against run now, cheapest: carbon +",
        "saving against run now, home: carbon +",
        "carbon figures replay past hours",
        "Chosen, and the baselines frozen before",
        "Pareto front",
        "Why the others lost",
        "Inputs",
        "^",
    ):
        assert part in out


def test_a_window_is_marked_under_its_hours(harchos: Harchos) -> None:
    _, out, _ = harchos("plan", DIGITS, *NOW)
    made = json.loads(harchos("plan", DIGITS, *NOW, "--format", "json")[1])
    lines = out.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("Intensity of"))
    start = int(made["chosen"]["segments"][0]["start"][11:13]) + 24 * (
        int(made["chosen"]["segments"][0]["start"][8:10]) - 1
    )
    assert lines[place + 2].index("^") - 2 == start
    assert len(lines[place + 1].strip()) == 36


def test_explain_lists_every_candidate(harchos: Harchos) -> None:
    short, long = (harchos("plan", DIGITS, *NOW, *more)[1] for more in ((), ("--explain",)))
    made = json.loads(harchos("plan", DIGITS, *NOW, "--format", "json")[1])
    assert len(long.splitlines()) > len(made["rejected"]) > len(short.splitlines())


def test_markdown_is_a_comment_for_a_pull_request(harchos: Harchos) -> None:
    code, out, _ = harchos("plan", DIGITS, *NOW, "--format", "markdown")
    assert code == 0
    assert out.startswith("### digits: wait ")
    assert "| chosen | " in out
    assert "```text" in out


def test_the_page_says_what_the_text_says(harchos: Harchos, tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    code, out, err = harchos("plan", DIGITS, *NOW, "--html", str(page))
    assert (code, err) == (0, f"{page}: page of the plan of digits\n")
    text = page.read_text()
    first, when, *_ = out.splitlines()
    for words in (first.removeprefix("digits: "), when, "carbon figures replay past hours", "list prices"):
        assert words in text
    assert len(text) < 1_000_000


def test_a_page_is_written_of_a_plan_that_nothing_fits_too(
    harchos: Harchos, document: Document, tmp_path: Path
) -> None:
    page = tmp_path / "plan.html"
    code, _, _ = harchos("plan", document("  deadline: 10m\n"), *NOW, "--html", str(page))
    assert code == 3
    assert "nearest miss: finish " in page.read_text()


def test_a_page_that_cannot_be_written_is_refused(harchos: Harchos, tmp_path: Path) -> None:
    page = tmp_path / "missing" / "plan.html"
    code, _, err = harchos("plan", DIGITS, *NOW, "--html", str(page))
    assert code == 1
    assert f"{page}: No such file or directory" in err
    assert "name a file in a folder that you can write to" in err


def test_the_plan_file_is_private_and_the_same_as_the_json(harchos: Harchos, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")
    code, _, err = harchos("plan", DIGITS, *NOW, "--out", str(path))
    assert code == 0
    assert str(path) in err
    assert path.read_text() == harchos("plan", DIGITS, *NOW, "--format", "json")[1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


def test_a_plan_file_that_cannot_be_written_is_an_error(harchos: Harchos, tmp_path: Path) -> None:
    code, _, err = harchos("plan", DIGITS, *NOW, "--out", str(tmp_path / "no" / "plan.json"))
    assert code == 1
    assert "No such file or directory" in err


def test_detailed_exitcode_tells_a_pipeline_that_something_would_be_created(harchos: Harchos) -> None:
    assert harchos("plan", DIGITS, *NOW, "--detailed-exitcode")[0] == 2


@pytest.mark.parametrize(
    ("spec", "nearest"),
    [
        ("  deadline: 1h\n", "finish 1 h later and it fits"),
        ("  budget: {maxCost: 0.01}\n", "raise budget.maxCost from 0.01 to "),
        ("  budget: {maxCarbon: 0.0001}\n", "raise budget.maxCarbon from 0.0001 to "),
        ("  resources: {gpu: {type: H10O}}\n", "no offer has a GPU 'H10O': did you mean H100"),
        ("  placement: {regions: [eu-wset-1]}\n", "unknown region 'eu-wset-1': did you mean 'eu-west-1'?"),
        ("  placement: {countries: [XX]}\n", "no region lies in 'XX'"),
    ],
)
def test_what_nobody_can_meet_exits_3_with_the_nearest_miss(
    harchos: Harchos, document: Document, spec: str, nearest: str
) -> None:
    code, out, _ = harchos("plan", document(spec), *NOW)
    assert code == 3
    assert "no candidate is feasible" in out
    assert nearest in " ".join(out.split())


def test_a_rejected_plan_is_json_as_well(harchos: Harchos, document: Document) -> None:
    code, out, err = harchos("plan", document("  deadline: 1h\n"), *NOW, "--format", "json")
    made = json.loads(out)
    assert (code, made["decision"], made["chosen"]) == (3, "reject", None)
    assert made["nearestMiss"] in err


def test_this_machine_needs_its_zone_and_is_never_given_one(harchos: Harchos, document: Document) -> None:
    path = document("  placement: {providers: [local]}\n")
    code, _, err = harchos("plan", path, *NOW)
    assert code == 1
    assert "harchos config set local.zone DE" in err
    assert harchos("config", "set", "local.zone", "DE")[0] == 0
    code, out, _ = harchos("plan", path, *NOW)
    assert code == 0
    assert "local/local this-machine" in out.splitlines()[0]


def test_a_zone_without_data_is_a_reason_not_a_number(harchos: Harchos, document: Document) -> None:
    harchos("config", "set", "local.zone", "ATLANTIS")
    code, out, _ = harchos("plan", document("  placement: {providers: [local]}\n"), *NOW)
    assert code == 3
    assert "no carbon intensity for zone ATLANTIS" in " ".join(out.split())


def test_a_signal_of_ones_own_decides(harchos: Harchos, document: Document, tmp_path: Path) -> None:
    harchos("config", "set", "local.zone", "HOME")
    hours = [f"2026-11-23T{hour:02}:00Z,{5 if hour == 7 else 500}" for hour in range(24)]
    (tmp_path / "HOME.csv").write_text("\n".join(["timestamp,gco2_per_kwh", *hours]) + "\n")
    path = document("  deadline: 12h\n  placement: {providers: [local]}\n")
    signal = f"replay:{tmp_path}/HOME.csv"
    code, out, _ = harchos("plan", path, "--now", "2026-11-23T01:30Z", "--signal", signal, "--format", "json")
    made = json.loads(out)
    assert code == 0
    assert made["inputs"]["signal"]["name"] == signal
    [segment] = made["chosen"]["segments"]
    assert (segment["start"], segment["end"]) == ("2026-11-23T06:00:00Z", "2026-11-23T08:00:00Z")
    assert segment["intensityGco2PerKwh"] == [500.0, 5.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.yaml",), "no such file"),
        ((DIGITS, "--now", "yesterday"), "is not a time"),
        ((DIGITS, "--signal", "crystal-ball"), "unknown signal"),
    ],
)
def test_bad_input_is_one_message(harchos: Harchos, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = harchos("plan", *arguments)
    assert (code, out) == (1, "")
    assert message in err
    assert "Traceback" not in err


def test_a_plan_file_is_taken_up_with_its_workload_and_signal(
    harchos: Harchos, document: Document, tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    assert harchos("plan", document(""), "--out", str(path))[0] == 0
    made, loaded, signal = plan_or_replan(path)
    assert made.dumps() == path.read_text()
    assert (loaded.workload.metadata.name, signal) == ("job", "replay")
    refuse_if_drifted(path, made)
    with pytest.raises(HarchosError, match="its own time and signal"):
        plan_or_replan(path, now="2022-07-01T00:00Z")


def test_a_plan_whose_file_changed_or_whose_start_passed_is_refused_with_what_moved(
    harchos: Harchos, document: Document, tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    assert harchos("plan", document(""), *NOW, "--out", str(path))[0] == 0
    document("  deadline: 9h\n")
    made, _, _ = plan_or_replan(path)
    with pytest.raises(HarchosError) as refused:
        refuse_if_drifted(path, made)
    assert "job.yaml was changed after the plan was made" in refused.value.what
    assert "the planned start, 2022-07-01 00:00 UTC, passed" in refused.value.what
    assert refused.value.hint == f"plan again: harchos plan {tmp_path / 'job.yaml'} --out {path}"


def test_a_rehearsal_does_not_mind_that_time_has_passed(
    harchos: Harchos, document: Document, tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    assert harchos("plan", document(""), *NOW, "--out", str(path))[0] == 0
    refuse_if_drifted(path, plan_or_replan(path)[0], rehearse=True)


def test_the_first_plan_in_the_docs_is_what_the_command_prints(
    harchos: Harchos, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(DIGITS).parents[2]
    monkeypatch.chdir(root)
    printed = harchos("plan", "configs/training/digits.yaml", *NOW)[1].splitlines()
    page = (root / "docs" / "first-plan.md").read_text()
    shown = page.split("```console\n$ harchos plan configs/training/digits.yaml")[1].split("```")[0]
    assert [line for line in printed if "sha256" not in line and "inputs" not in line] == [
        line for line in shown.splitlines()[1:] if "sha256" not in line and "inputs" not in line
    ]

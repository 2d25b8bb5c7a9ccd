"""The policy as a user meets it: found, named, held to by plan and fleet, and again by apply and render."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harchos_infra.runs.ledger import Ledger
from harchos_infra.share import share_directory
from support.command import Document, Harchos
from support.policies import policy_text

DIGITS = str(share_directory("configs") / "training" / "digits.yaml")
NOW = ("--now", "2022-07-01T00:00Z")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARCHOS_POLICY", raising=False)


def write(rules: str, path: str = "harchos.policy.yaml") -> None:
    Path(path).write_text(policy_text(rules))


def test_without_a_policy_nothing_is_said_and_nothing_recorded(harchos: Harchos) -> None:
    code, out, err = harchos("plan", DIGITS, *NOW, "--format", "json")
    assert (code, err) == (0, "")
    assert "policy" not in json.loads(out)["inputs"]


def test_a_policy_of_this_folder_holds_and_is_named(harchos: Harchos) -> None:
    write("countries: [SE]\n")
    code, out, err = harchos("plan", DIGITS, *NOW)
    assert code == 0
    assert err == "policy: harchos.policy.yaml (rules)\n"
    assert out.startswith("digits: wait 20 h, then run on aws/eu-north-1")
    assert (
        "policy        rules: harchos.policy.yaml, sha256" in " ".join(out.split("\n"))
        or "rules: harchos" in out
    )
    assert "countries allows SE" in out


def test_it_holds_below_and_by_environment_and_option_comes_first(
    harchos: Harchos, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("countries: [SE]\n")
    write("countries: [FR]\n", "france.yaml")
    write("countries: [NO]\n", "norway.yaml")
    Path("deep").mkdir()
    monkeypatch.chdir("deep")
    assert harchos("plan", DIGITS, *NOW)[2] == "policy: ../harchos.policy.yaml (rules)\n"
    monkeypatch.setenv("HARCHOS_POLICY", "../france.yaml")
    assert harchos("plan", DIGITS, *NOW)[2] == "policy: ../france.yaml (rules)\n"
    _, out, err = harchos("plan", DIGITS, *NOW, "--policy", "../norway.yaml", "--format", "json")
    assert err.startswith("policy: ../norway.yaml (rules)\n")
    assert json.loads(out)["inputs"]["policy"]["path"] == "../norway.yaml"


def test_a_plan_that_the_policy_leaves_nothing_for_exits_3_and_names_the_rule(harchos: Harchos) -> None:
    write("maxPrice: 0.1\n")
    code, out, _ = harchos("plan", DIGITS, *NOW)
    assert code == 3
    assert "nearest miss: have maxPrice of the policy (harchos.policy.yaml:5) raised to" in " ".join(
        out.split()
    )


def test_a_bad_policy_is_refused_with_every_line_and_nothing_is_planned(harchos: Harchos) -> None:
    write("maxPrize: 1\nmaxTtl: 3\n")
    code, out, err = harchos("plan", DIGITS, *NOW)
    assert (code, out) == (1, "")
    assert "harchos.policy.yaml:5:3: spec.maxPrize: unknown key `maxPrize` (did you mean `maxPrice`?)" in err
    assert "harchos.policy.yaml:6:11: spec.maxTtl: `3` has no unit" in err


def test_validate_knows_a_policy(harchos: Harchos) -> None:
    write("maxPrice: 1\nregions: [aws/eu-noth-1]\n")
    code, out, err = harchos("validate", "harchos.policy.yaml", DIGITS)
    assert code == 0
    assert out.splitlines()[0] == "harchos.policy.yaml: ok (policy, rules)"
    assert "did you mean aws/eu-north-1?" in err
    write("maxPrice: [1]\n")
    code, out, _ = harchos("validate", "harchos.policy.yaml")
    assert (code, out) == (
        1,
        "harchos.policy.yaml:5:13: spec.maxPrice: a number was expected, not a list\n",
    )


def test_the_schema_of_policies_is_printed(harchos: Harchos) -> None:
    code, out, _ = harchos("schema", "policy")
    assert code == 0
    assert json.loads(out)["title"] == "HarchOS policy"
    assert json.loads(harchos("schema")[1])["title"] == "HarchOS workload"


def test_a_fleet_keeps_to_it_and_does_not_take_it_for_a_workload(harchos: Harchos) -> None:
    folder = Path("fleet")
    folder.mkdir()
    for name in ("one", "two"):
        text = Path(DIGITS).read_text().replace("name: digits", f"name: {name}")
        (folder / f"{name}.yaml").write_text(text)
    write("countries: [SE]\n", "fleet/harchos.policy.yaml")
    code, out, _ = harchos("plan", "fleet", *NOW, "--policy", "fleet/harchos.policy.yaml", "--format", "json")
    assert code == 0
    made = json.loads(out)
    assert [w["name"] for w in made["workloads"]] == ["one", "two"]
    assert {w["chosen"]["segments"][0]["region"] for w in made["workloads"]} == {"eu-north-1"}


def runs() -> list[str]:
    return [row["id"] for row in Ledger.open().runs()]


@pytest.mark.parametrize(
    "command", [("apply", "--yes", "--rehearse"), ("render", "--out", "tf", "--rehearse")]
)
def test_a_saved_plan_is_held_to_the_policy_as_it_is_now(
    harchos: Harchos, document: Document, command: tuple[str, ...]
) -> None:
    write("maxPrice: 100\n")
    assert harchos("plan", document(""), "--out", "plan.json")[0] == 0
    write("maxPrice: 0.001\ncountries: [AQ]\nrequiredLabels: [team]\n")
    code, _, err = harchos(command[0], "plan.json", *command[1:])
    assert code == 3
    assert "harchos.policy.yaml: the policy rules forbids this plan\n" in err
    assert "policy-price: " in err and "maxPrice is 0.001 (harchos.policy.yaml:5)" in err
    assert "policy-country: in " in err and "countries allows AQ (harchos.policy.yaml:6)" in err
    assert "policy-label: metadata.labels has no `team` (harchos.policy.yaml:7)" in err
    assert runs() == []
    assert not Path("tf").exists()


def test_where_there_is_none_a_saved_plan_is_held_to_the_one_it_records(
    harchos: Harchos, document: Document
) -> None:
    write("maxPrice: 100\n")
    path = document("")
    assert harchos("plan", path, "--out", "plan.json")[0] == 0
    Path("harchos.policy.yaml").unlink()
    made = json.loads(Path("plan.json").read_text())
    made["chosen"]["segments"][0]["priceUsdHour"] = 101.0
    Path("plan.json").write_text(json.dumps(made))
    code, _, err = harchos("apply", "plan.json", "--yes", "--rehearse")
    assert code == 3
    assert "policy: harchos.policy.yaml (rules), as the plan records it; there is none here\n" in err
    assert "policy-price: 101 USD/h; maxPrice is 100 (harchos.policy.yaml:5)" in err
    assert runs() == []


def test_a_workload_is_planned_within_it_by_apply(harchos: Harchos, document: Document) -> None:
    write("maxPrice: 0.000001\n")
    code, _, err = harchos("apply", document(""), "--yes", "--rehearse")
    assert code == 3
    assert "nothing to apply: no candidate is feasible" in err
    assert "have maxPrice of the policy (harchos.policy.yaml:5) raised to" in err
    assert runs() == []


def test_a_damaged_record_stops_the_plan(harchos: Harchos, document: Document) -> None:
    write("maxPrice: 100\n")
    assert harchos("plan", document(""), "--out", "plan.json")[0] == 0
    Path("harchos.policy.yaml").unlink()
    text = Path("plan.json").read_text().replace("maxPrice: 100", "maxPrice: 900")
    Path("plan.json").write_text(text)
    code, _, err = harchos("apply", "plan.json", "--yes", "--rehearse")
    assert code == 1
    assert "the policy that the plan records is damaged: its text and its sha256 do not agree" in err


def test_a_policy_that_is_named_and_missing_is_an_error(harchos: Harchos) -> None:
    code, out, err = harchos("plan", DIGITS, *NOW, "--policy", "gone.yaml")
    assert (code, out) == (1, "")
    assert "gone.yaml: no such policy, named by --policy" in err

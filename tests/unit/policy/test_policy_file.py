"""The policy file: what it may say, every error at its line and column, and where it is looked for."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from harchos_infra.catalog import Catalog
from harchos_infra.errors import HarchosError
from harchos_infra.policy.find import find_policy
from harchos_infra.policy.json_schema import json_schema, known_keys
from harchos_infra.policy.loader import load_policy, recorded_policy
from harchos_infra.policy.unknown import unknown_names
from harchos_infra.share import share_directory
from harchos_infra.workload.diagnostic import DocumentError
from harchos_infra.workload.tree import read_tree
from support.policies import Load, Write, policy_text

EXAMPLE = share_directory("configs") / "policy.yaml"


def errors(path: Path) -> list[str]:
    with pytest.raises(DocumentError) as refused:
        load_policy(path)
    return [str(d).removeprefix(f"{path}:") for d in refused.value.diagnostics]


def test_rules_are_read_with_their_units_and_lines(load: Load) -> None:
    policy = load("maxTtl: 90m\nmaxPrice: 2\n\nrequiredLabels:\n  team: [a, b-*]\n  owner: '*'\n")
    assert policy.rules.max_ttl_h == 1.5
    assert policy.rules.max_price_usd_hour == 2
    assert policy.rules.required_labels == {"team": ("a", "b-*"), "owner": ("*",)}
    assert [policy.where(key) for key in ("maxTtl", "maxPrice", "requiredLabels.owner")] == [
        "harchos.policy.yaml:5",
        "harchos.policy.yaml:6",
        "harchos.policy.yaml:10",
    ]


def test_a_list_of_required_labels_takes_any_value(load: Load) -> None:
    policy = load("requiredLabels:\n  - team\n  - owner\n")
    assert policy.rules.required_labels == {"team": ("*",), "owner": ("*",)}
    assert policy.where("requiredLabels.owner") == "harchos.policy.yaml:7"


def test_every_error_is_named_at_its_place(write: Write) -> None:
    path = write(
        """
        maxPrize: 2
        provider: [aws]
        regions: []
        countries: [SE, Norway]
        instanceTypes: ["g6 xlarge"]
        markets: [spott]
        maxTtl: 12
        maxCost: -1
        maxCarbon: "5"
        requiredLabels: {team: []}
        maxIntensity:
        """
    )
    assert errors(path) == [
        "5:3: spec.maxPrize: unknown key `maxPrize` (did you mean `maxPrice`?)",
        "6:3: spec.provider: unknown key `provider` (did you mean `providers`?)",
        "7:12: spec.regions: is empty",
        "8:19: spec.countries[1]: `Norway` is not a country code "
        "(write two letters (ISO 3166-1 alpha-2), such as NO or DE)",
        "9:19: spec.instanceTypes[0]: `g6 xlarge` is not a valid instance type "
        "(write an instance type such as g6.xlarge, aws/g6.* or Standard_NC*)",
        "10:13: spec.markets[0]: `spott` is not one of on-demand, spot (did you mean `spot`?)",
        "11:11: spec.maxTtl: `12` has no unit (write 12h for hours, 12m for minutes)",
        "12:12: spec.maxCost: must be greater than 0.0, but is -1",
        "13:14: spec.maxCarbon: a number was expected, not text "
        "(write it without quotes, unit or leading zeros)",
        "14:26: spec.requiredLabels.team: is empty",
        "15:3: spec.maxIntensity: has no value (give it one, or remove the key)",
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "1:1: the file is empty (configs/policy.yaml is an example to start from)"),
        ("- a\n", "1:1: a policy is a mapping of keys to values"),
        (
            "apiVersion: harchos.dev/v1\nkind: Policy\nmetadata: {name: a}\nspec: {}\n",
            "4:7: spec: has no rule",
        ),
        (
            "apiVersion: harchos.dev/v1\nkind: Workload\nmetadata: {name: a}\nspec: {maxCost: 1}\n",
            "2:7: kind: `Workload` is not `Policy`",
        ),
        (
            "apiVersion: harchos.dev/v1\nkind: Policy\nmetadata: {name: a}\nspec: {maxCost: 1, maxCost: 9}\n",
            "4:20: spec.maxCost: duplicate key `maxCost`",
        ),
        (
            "apiVersion: harchos.dev/v1\nkind: Policy\nspec: {maxCost: 1}\n",
            "1:1: metadata: `metadata` is missing",
        ),
    ],
)
def test_what_is_no_policy_is_refused(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    assert errors(path)[0].startswith(error)


def test_the_example_is_a_policy_with_every_rule_and_keeps_to_the_schema() -> None:
    loaded = load_policy(EXAMPLE)
    assert set(loaded.rules.model_dump(by_alias=True)) == set(known_keys()[("spec",)])
    assert all(key in loaded.lines for key in known_keys()[("spec",)])
    assert list(unknown_names(loaded, Catalog.builtin())) == []
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.validate(read_tree(EXAMPLE.read_text()).value, json_schema())


@pytest.mark.parametrize(
    "wrong",
    ["maxPrize: 1", "regions: []", "maxTtl: 12", "requiredLabels: {}", "maxCost: 0", "providers: [ibm]"],
)
def test_the_schema_refuses_what_the_loader_refuses(write: Write, wrong: str) -> None:
    path = write(wrong)
    assert errors(path)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read_tree(path.read_text()).value, json_schema())


def test_every_rule_is_described() -> None:
    assert all(rule["description"] for rule in json_schema()["$defs"]["Rules"]["properties"].values())


def test_a_name_that_no_offer_has_is_said_with_what_was_meant(load: Load) -> None:
    policy = load(
        "regions: [aws/eu-noth-1, 'gcp/*']\ninstanceTypes: [g66.xlarge, 'local/*']\ncountries: [AQ]\n"
    )
    assert list(unknown_names(policy, Catalog.builtin())) == [
        "harchos.policy.yaml:5: regions: nothing is called aws/eu-noth-1: did you mean aws/eu-north-1?",
        "harchos.policy.yaml:6: instanceTypes: nothing is called g66.xlarge: did you mean g6.xlarge?",
        "harchos.policy.yaml:7: countries: no region lies in AQ",
    ]


def test_a_policy_comes_back_from_its_record_with_its_lines(load: Load) -> None:
    policy = load("# ünicode\nmaxPrice: 2\n")
    assert recorded_policy({"policy": policy.record()}) == policy
    assert recorded_policy({}) is None


def test_a_record_that_was_changed_is_refused(load: Load) -> None:
    record = load("maxPrice: 2\n").record()
    record["text"] = record["text"].replace("2", "200")
    with pytest.raises(HarchosError, match="its text and its sha256 do not agree"):
        recorded_policy({"policy": record})


def test_it_is_looked_for_by_name_then_environment_then_upwards(write: Write, tmp_path: Path) -> None:
    write("maxPrice: 2")
    other, deep = tmp_path / "other.yaml", tmp_path / "a" / "b"
    other.touch()
    deep.mkdir(parents=True)
    environ = {"HARCHOS_POLICY": str(tmp_path / "harchos.policy.yaml")}
    assert find_policy(other, environ=environ) == other
    assert find_policy(None, environ=environ, directory=deep) == Path(environ["HARCHOS_POLICY"])
    assert find_policy(None, environ={}) == Path("harchos.policy.yaml")
    assert find_policy(None, environ={"HARCHOS_POLICY": ""}, directory=deep) == Path(
        "../../harchos.policy.yaml"
    )
    (deep / "harchos.policy.yaml").touch()
    assert find_policy(None, environ={}, directory=deep) == Path("harchos.policy.yaml")


@pytest.mark.parametrize("by", ["--policy", r"\$HARCHOS_POLICY"])
def test_a_policy_that_is_named_and_not_there_is_no_open_gate(write: Write, by: str, tmp_path: Path) -> None:
    write("maxPrice: 2")
    gone = tmp_path / "gone.yaml"
    named, environ = (gone, {}) if by == "--policy" else (None, {"HARCHOS_POLICY": str(gone)})
    with pytest.raises(HarchosError, match=f"no such policy, named by {by}"):
        find_policy(named, environ=environ)


def test_a_file_of_another_editor_comes_back_from_its_record_as_well(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(
        b"\xef\xbb\xbf" + policy_text("maxPrice: 2\nmaxTtl: 1h\n").replace("\n", "\r\n").encode()
    )
    policy = load_policy(path)
    assert recorded_policy({"policy": policy.record()}) == policy
    assert policy.where("maxTtl") == f"{path}:6"

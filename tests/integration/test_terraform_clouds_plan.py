"""`harchos plan --terraform`: what would be created, beside the price, and nothing recorded."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from harchos_infra.settings import set_value
from support.command import Document, Harchos
from support.schema_replay import Fault, Replay
from support.schema_replay.fixture import replay as replay

NOW = ("--now", "2022-07-01T00:00Z")
MACHINE = {
    "aws": "aws_instance",
    "gcp": "google_compute_instance",
    "azure": "azurerm_linux_virtual_machine",
}
SPEC = """\
  resources: {{gpu: {{count: 1}}}}
  placement: {{providers: [{provider}]}}
"""


@pytest.fixture(autouse=True)
def home(harchos: Harchos, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    set_value("aws.mailbox", "s3://acme-mail/box")
    set_value("gcp.mailbox", "gs://acme-mail/box")
    set_value("azure.mailbox", "az://acmemail/box")
    set_value("gcp.project", "acme-project")
    set_value("azure.subscription", "00000000-0000-0000-0000-000000000001")
    return tmp_path / "home"


@pytest.mark.parametrize("provider", sorted(MACHINE))
def test_a_plan_for_a_cloud_says_what_would_be_created(
    provider: str, harchos: Harchos, document: Document, replay: Replay, home: Path, tmp_path: Path
) -> None:
    workload = document(SPEC.format(provider=provider))
    code, out, err = harchos("plan", workload, *NOW, "--terraform", "--format", "json")
    assert (code, err) == (0, "")
    made = json.loads(out)
    (segment,) = made["chosen"]["segments"]
    (hub,) = made["terraform"]
    assert hub["hubs"] == [1]
    assert (hub["provider"], hub["instanceType"]) == (provider, segment["instanceType"])
    assert hub["create"][MACHINE[provider]] == 1
    assert len(hub["create"]) > 5
    assert hub["priceUsdHour"] == pytest.approx(segment["priceUsdHour"])

    code, out, _ = harchos("plan", workload, *NOW, "--terraform")
    _, *lines = out[out.index("Terraform would create") :].splitlines()
    assert any(line.split() == ["1", MACHINE[provider], "1"] for line in lines), lines
    assert lines[-1].endswith(f"{segment['priceUsdHour']:.4g} USD/h while it is up")

    assert replay.world.existing == []
    assert not (home / "hubs").exists()
    assert not list(tmp_path.glob("harchos-plan-*"))


def test_only_the_answer_differs_from_a_plan_without_it(
    harchos: Harchos, document: Document, replay: Replay, tmp_path: Path
) -> None:
    workload, out = document(SPEC.format(provider="aws")), tmp_path / "plan.json"
    _, plain, _ = harchos("plan", workload, *NOW, "--format", "json")
    _, more, _ = harchos("plan", workload, *NOW, "--format", "json", "--terraform", "--out", str(out))
    with_terraform = json.loads(more)
    del with_terraform["terraform"]
    assert with_terraform == json.loads(plain)
    assert out.read_text() == plain


def test_a_plan_for_this_machine_says_it_too(harchos: Harchos, document: Document) -> None:
    set_value("local.zone", "DE")
    workload = document("  placement: {providers: [local]}\n")
    code, out, _ = harchos("plan", workload, *NOW, "--terraform", "--format", "json")
    assert code == 0
    assert [hub["create"] for hub in json.loads(out)["terraform"]] == [{"terraform_data": 2}]


def test_what_the_cloud_refuses_is_said(harchos: Harchos, document: Document, replay: Replay) -> None:
    replay.faults["aws:configure"] = Fault(error="Retrieving AWS account details: api error ExpiredToken: …")
    code, out, err = harchos("plan", document(SPEC.format(provider="aws")), *NOW, "--terraform")
    assert (code, out) == (1, "")
    assert "the AWS credentials have expired" in err
    assert "hint: renew them" in err


def test_a_mailbox_that_is_not_set_is_asked_for(
    harchos: Harchos, document: Document, replay: Replay, home: Path
) -> None:
    (home / "config.yaml").unlink()
    code, _, err = harchos("plan", document(SPEC.format(provider="aws")), *NOW, "--terraform")
    assert code == 1
    assert "aws.mailbox is not set" in err
    assert "docs/clouds/aws.md" in err


def test_a_fleet_has_no_terraform(harchos: Harchos, document: Document) -> None:
    workload = document()
    code, _, err = harchos("plan", workload, workload, "--terraform")
    assert code == 1
    assert "for one workload" in err


def test_a_service_that_is_exposed_shows_its_open_port(
    harchos: Harchos, document: Document, replay: Replay
) -> None:
    def firewalls(more: str) -> int:
        workload = document(SPEC.format(provider="gcp") + more)
        _, out, _ = harchos("plan", workload, *NOW, "--terraform", "--format", "json")
        count: int = json.loads(out)["terraform"][0]["create"].get("google_compute_firewall", 0)
        return count

    assert firewalls("  networking: {port: 8080, expose: true}\n") == firewalls("") + 1

"""A hub of a run as it is provisioned: on this machine, on a cloud, and when its job is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harchos_infra.runs.hub import hub_spec
from harchos_infra.runs.mailboxes import job_box

RUN = {"id": "a-000001", "workload": "a", "rehearsal": False}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))


def hub(**place: Any) -> dict[str, Any]:
    return {
        "hub": "a-000001-h1",
        "run": "a-000001",
        "expires_at": 1.0,
        "mailbox": "s3://box/team",
        "identity": "123456789012 arn:aws:iam::123456789012:user/me",
        "place": {
            "provider": "aws",
            "region": "eu-north-1",
            "zone": "SE-SE3",
            "instanceType": "g6.xlarge",
            "market": "on-demand",
            "nodes": 1,
            "priceUsdHour": 0.8,
            **place,
        },
    }


def stage(**job: Any) -> None:
    job_box("a-000001").put_json("job.json", {"service": None, "secret_names": [], **job})


def test_a_rented_hub_is_made_in_the_account_that_was_recorded_with_it() -> None:
    stage()
    spec = hub_spec(RUN, hub())
    assert (spec.account, spec.mailbox_url, spec.cloud) == ("123456789012", "s3://box/team", "aws")
    assert (spec.ingress, spec.max_price_usd_hour) == ((), None)


def test_an_exposed_service_opens_its_port_and_no_other() -> None:
    stage(service={"port": 8000, "expose": True})
    assert hub_spec(RUN, hub()).ingress == ((8000, ("0.0.0.0/0",)),)
    stage(service={"port": 8000, "expose": False})
    assert hub_spec(RUN, hub()).ingress == ()


def test_a_spot_machine_has_a_ceiling_above_the_accepted_price() -> None:
    stage()
    assert hub_spec(RUN, hub(market="spot")).max_price_usd_hour == pytest.approx(1.0)


def test_what_the_environment_names_for_hubs_goes_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    stage()
    monkeypatch.setenv("HARCHOS_HUB_ENV_HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("SOMETHING_ELSE", "x")
    assert hub_spec(RUN, hub()).environment == {"HTTPS_PROXY": "http://proxy:3128"}


def test_a_hub_whose_job_is_lost_can_be_taken_down_yet() -> None:
    assert hub_spec(RUN, hub()).secret_names == ()
    job_box("a-000001").put("job.json", b"{torn")
    assert hub_spec(RUN, hub()).secret_names == ()


def test_a_rehearsal_has_nothing_of_a_cloud() -> None:
    spec = hub_spec({**RUN, "rehearsal": True}, hub())
    assert (spec.cloud, spec.account) == ("local", None)

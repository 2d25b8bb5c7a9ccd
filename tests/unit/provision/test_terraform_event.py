"""Terraform's progress, one JSON line each."""

import json

from harchos_infra.provision.event import TerraformEvent


def line(**fields: object) -> str:
    return json.dumps({"@level": "info", "@message": "text", **fields})


def test_the_end_of_a_creation() -> None:
    hook = {"resource": {"addr": "module.hub.terraform_data.agent"}, "action": "create", "elapsed_seconds": 3}
    event = TerraformEvent.parse(line(type="apply_complete", hook=hook))
    assert (event.type, event.address, event.action, event.elapsed_s) == (
        "apply_complete",
        "module.hub.terraform_data.agent",
        "create",
        3,
    )


def test_a_planned_change() -> None:
    change = {"resource": {"addr": "terraform_data.ready"}, "action": "delete"}
    event = TerraformEvent.parse(line(type="planned_change", change=change))
    assert (event.address, event.action) == ("terraform_data.ready", "delete")


def test_a_diagnostic_says_where() -> None:
    diagnostic = {"severity": "error", "summary": "no", "detail": "", "address": "terraform_data.agent"}
    event = TerraformEvent.parse(line(type="diagnostic", **{"@level": "error"}, diagnostic=diagnostic))
    assert (event.level, event.address) == ("error", "terraform_data.agent")


def test_a_line_that_is_no_event_is_shown_as_it_is() -> None:
    assert TerraformEvent.parse("There are some problems\n") == TerraformEvent(
        "log", "There are some problems"
    )
    assert TerraformEvent.parse("3").message == "3"

"""`job.json`: read in full, or refused with the field's name."""

from __future__ import annotations

from typing import Any

import pytest

from harchos_infra.hub.job import Job, JobError


def document(**changes: Any) -> dict[str, Any]:
    return {
        "schema": "harchos.job/1",
        "run": "r",
        "hub": "r-h0",
        "workload": "w",
        "type": "training",
        "command": ["python", "train.py"],
        "image": None,
        "image_policy": "host",
        "engine": "auto",
        "env": {"A": "1"},
        "secret_names": ["TOKEN"],
        "workdir": True,
        "resources": {"cpus": 2, "memory_gib": None, "gpus": 1},
        "checkpoint": {"path": "ckpt", "interval_s": 60, "grace_s": 30, "command": ["save"]},
        "service": {"port": 8000, "health_path": None, "initial_delay_s": 0, "period_s": 2},
        "max_retries": 2,
        "grace_s": 30,
        "sample_s": 2.0,
        "power_model": {
            "cpu_watts_per_core_idle": 1,
            "cpu_watts_per_core_max": 5,
            "memory_watts_per_gib": 0.4,
            "gpu_watts_idle": 0,
            "gpu_watts_max": 0,
            "source": "stated",
        },
        **changes,
    }


def test_every_field_is_read() -> None:
    job = Job.parse(document())
    assert (job.command, job.cpus, job.gpus) == (("python", "train.py"), 2.0, 1)
    assert job.checkpoint is not None and job.checkpoint.command == ("save",)
    assert job.service is not None and (job.service.port, job.service.health_path) == (8000, None)
    assert job.power_model.source == "stated"
    assert Job.parse(document(secret_refs={"TOKEN": "ssm:///a"})).secret_refs == {"TOKEN": "ssm:///a"}


def test_what_is_null_is_none() -> None:
    job = Job.parse(document(checkpoint=None, service=None))
    assert job.checkpoint is None and job.service is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": "harchos.job/2"}, "harchos.job/2"),
        ({"command": []}, "command"),
        ({"command": "python train.py"}, "command"),
        ({"engine": "lxc"}, "engine 'lxc'"),
        ({"image_policy": "maybe"}, "image_policy"),
        ({"max_retries": True}, "max_retries"),
        ({"env": {"A": 1}}, "env 'A'"),
        ({"resources": {"cpus": None, "memory_gib": None}}, "resources: gpus is missing"),
        ({"checkpoint": {"path": "x"}}, "checkpoint: grace_s is missing"),
        ({"power_model": None}, "power_model"),
        (
            {"secret_refs": {"TOKEN": "s3://bucket/key"}},
            "secret_refs 'TOKEN' is not a reference to ssm, gcpsm",
        ),
        ({"secret_refs": {"TOKEN": 3}}, "secret_refs 'TOKEN' is not a reference to"),
        ({"secret_refs": {"OTHER": "ssm:///a"}}, "secret_refs 'OTHER' is not among secret_names"),
        ({"secret_refs": []}, "not of type dict"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(JobError, match=said):
        Job.parse(document(**changes))


@pytest.mark.parametrize("value", [None, [], "text"])
def test_a_document_that_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(JobError, match="an object was expected"):
        Job.parse(value)

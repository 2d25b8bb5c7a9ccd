from __future__ import annotations

import pytest

from support.documents import Loading, Refusal


@pytest.mark.parametrize(
    ("spec", "line", "said"),
    [
        ("type: batch", 5, "`command` is missing: there is nothing to run"),
        ("type: dev\nimage: python:3.12", 5, "an image alone is not run"),
        (
            "type: batch\ncommand: x\ndeadline: 2026-11-24T06:00Z\nearliestStart: 2026-11-24T06:00Z",
            8,
            "the deadline is not after earliestStart",
        ),
        ("type: batch\ncommand: x\nduration: 6h\nttl: 5h", 9, "the hub ends itself before the job is done"),
        ("type: training\ncommand: x\ninterruptible: true", 8, "loses its work at each pause"),
        ("type: batch\ncommand: x\ncheckpoint: {path: a/../../b}", 8, "out of the job's working directory"),
        ("type: batch\ncommand: x\ncheckpoint: {path: ''}", 8, "is empty"),
        ("type: batch\ncommand: x\nworkdir: /src", 8, "must be relative to the document"),
        ("type: batch\ncommand: x\nobjective: greenest\ncarbonPrice: 5", 9, "the same thing in two ways"),
        ("type: batch\ncommand: x\nplacement: {maxLatencyMs: 50}", 8, "not from where"),
        ("type: inference\ncommand: x\nhealthCheck: {httpGet: {path: /h}}", 8, "a health check needs a port"),
        ("type: inference\ncommand: x\nnetworking: {expose: true}", 8, "nothing to expose without a port"),
        (
            "type: batch\ncommand: x\nreplicas: 2\nscaling: {maxNodes: 2, throughput: [1, 2]}",
            8,
            "both say how many nodes",
        ),
        (
            "type: batch\ncommand: x\nscaling: {minNodes: 4, maxNodes: 2}",
            8,
            "minNodes 4 is more than maxNodes 2",
        ),
        (
            "type: batch\ncommand: x\nscaling: {maxNodes: 2, throughput: [1]}",
            8,
            "1 entries for 2 node counts",
        ),
        ("type: batch\ncommand: x\nsecrets: [{name: A, env: A, file: a}]", 8, "both `env` and `file`"),
        ("type: training\ncommand: x\nitems: {count: 2}", 8, "a workload of type training has no items"),
        ("type: batch\ncommand: x\nitems: {}", 8, "neither `count` nor `list`"),
        ("type: batch\ncommand: x\nitems: {count: 2, list: [a]}", 8, "both `count` and `list`"),
        ("type: batch\ncommand: x\nitems: {list: [a, b, a]}", 8, "item `a` is listed twice"),
        ("type: batch\ncommand: x\nitems: {list: [a/b]}", 8, "`a/b` is not the name of an item"),
        ("type: batch\ncommand: x\nitems: {count: 2}\nreplicas: 2", 9, "each hub of a queue has one node"),
        (
            'type: batch\ncommand: x\nitems: {count: 2}\nschedule: {cron: "0 6 * * *"}',
            9,
            "a queue of items does not recur",
        ),
        ("type: batch\ncommand: x\nitems: {count: 2}\ncheckpoint: {}", 9, "so that nothing is resumed"),
        (
            "type: batch\ncommand: x\nduration: 6h\nttl: 2h\nitems: {count: 9, maxHubs: 2}",
            9,
            "the hub ends itself before the job is done",
        ),
        (
            'type: batch\ncommand: x\nenv: [{name: A, value: "1"}]\nsecrets: [{name: A}]',
            9,
            "`A` is given twice",
        ),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    refusal: Refusal, spec: str, line: int, said: str
) -> None:
    (found,) = refusal(spec)
    assert found.line == line
    assert said in found.message


@pytest.mark.parametrize(
    ("spec", "line", "said"),
    [
        (
            "type: batch\ncommand: x\nresources: {gpu: {type: nvidia-l4}}\n"
            + "duration: {byGpu: {L4: 1h, T4: 2h}}",
            9,
            "a duration for T4, which `resources.gpu` does not ask for",
        ),
        ("type: training\ncommand: x\nduration: 6h\ndeadline: 5h", 9, "no plan can meet it"),
        ("type: training\ncommand: x\nplacement: {market: spot}", 8, "a spot machine can be taken away"),
        ("type: batch\ncommand: x\nenv:\n  - {name: HF_TOKEN, value: x}", 9, "`HF_TOKEN` stands in the file"),
    ],
)
def test_what_is_doubtful_is_loaded_with_a_warning(loading: Loading, spec: str, line: int, said: str) -> None:
    (warning,) = loading(spec).warnings
    assert warning.line == line
    assert said in warning.message


def test_rules_still_speak_where_another_field_is_broken(refusal: Refusal) -> None:
    found = refusal("type: training\nduration: 6\ninterruptible: true\nttl: 5h")
    assert [d.path for d in found] == ["spec.command", "spec.duration", "spec.interruptible"]


def test_rules_are_silent_about_a_field_that_is_broken_itself(refusal: Refusal) -> None:
    found = refusal("type: batch\ncommand: [1]\nhealthCheck: {}\nnetworking: {port: x}")
    assert [d.path for d in found] == ["spec.command", "spec.networking.port"]


def test_a_job_that_can_be_paused_needs_no_more_than_a_checkpoint(loading: Loading) -> None:
    assert loading("type: training\ncommand: x\ninterruptible: true\ncheckpoint: {}").warnings == ()


def test_a_deadline_that_more_nodes_can_meet_is_no_doubt(loading: Loading) -> None:
    spec = "type: training\ncommand: x\nduration: 6h\ndeadline: 5h\ncheckpoint: {}\n"
    assert loading(spec + "scaling: {maxNodes: 2, throughput: [1, 1.9]}").warnings == ()
    (warning,) = loading(spec + "scaling: {maxNodes: 2, throughput: [1, 1.1]}").warnings
    assert "no plan can meet it" in warning.message


def test_a_queue_may_pause_without_a_checkpoint_and_its_hubs_share_the_time(loading: Loading) -> None:
    spec = "type: batch\ncommand: x\nduration: 6h\ndeadline: 4h\nttl: 3h\ninterruptible: true\n"
    loaded = loading(spec + "items: {count: 9, maxHubs: 2}")
    assert loaded.warnings == loaded.ignored == ()
    assert loaded.workload.spec.items is not None
    assert loaded.workload.spec.items.total == 9

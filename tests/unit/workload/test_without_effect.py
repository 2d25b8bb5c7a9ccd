from __future__ import annotations

import pytest

from support.documents import Loading


@pytest.mark.parametrize(
    ("spec", "path", "line"),
    [
        ("type: batch\ncommand: x\nruntime: python:3.11", "spec.runtime", 8),
        ("type: batch\ncommand: x\ninterruptible: true\ncheckpoint: {}", "spec.interruptible", 8),
        (
            "type: dev\ncommand: x\nttl: 2h\ninterruptible: true\ncheckpoint: {}",
            "spec.interruptible",
            9,
        ),
        (
            "type: dev\ncommand: x\nttl: 2h\nscaling: {maxNodes: 2, throughput: [1, 2]}",
            "spec.scaling",
            9,
        ),
        ("type: batch\ncommand: x\ncheckpoint:\n  restart: 5m", "spec.checkpoint.restart", 9),
        (
            "type: batch\ncommand: x\nresources:\n  gpu:\n    powerModes: [{watts: 50, throughput: 0.9}]",
            "spec.resources.gpu.powerModes",
            10,
        ),
        ("type: batch\ncommand: x\nscaling: {maxNodes: 2}", "spec.scaling", 8),
        ("type: batch\ncommand: x\ncheckpoint:\n  sizeGiB: 4", "spec.checkpoint.sizeGiB", 9),
        ("type: dev\ncommand: x\nttl: 2h\nduration: 1h", "spec.duration", 9),
        ("type: dev\ncommand: x\nnetworking:\n  port: 80\n  expose: true", "spec.networking.expose", 10),
        ("type: dev\ncommand: x\nnetworking:\n  port: 80\n  tls: true", "spec.networking.tls", 10),
        ("type: dev\ncommand: x\nnetworking:\n  port: 80\n  protocol: grpc", "spec.networking.protocol", 10),
    ],
)
def test_a_field_that_does_nothing_yet_is_listed_with_its_line(
    loading: Loading, spec: str, path: str, line: int
) -> None:
    (ignored,) = loading(spec).ignored
    assert (ignored.path, ignored.line) == (path, line)


@pytest.mark.parametrize(
    "spec",
    [
        "type: batch\ncommand: x\ninterruptible: false",
        "type: batch\ncommand: x\ndeadline: 9h\ninterruptible: true\ncheckpoint: {sizeGiB: 4, restart: 5m}",
        "type: batch\ncommand: x\nscaling: {maxNodes: 2, throughput: [1, 1.5]}",
        "type: dev\ncommand: x\nnetworking: {port: 80, expose: false, tls: false, protocol: http}",
        "type: batch\ncommand: x\nduration: 1h\nttl: 2h\ncheckpoint: {}",
    ],
)
def test_a_field_that_says_what_happens_anyway_is_not_listed(loading: Loading, spec: str) -> None:
    assert loading(spec).ignored == ()

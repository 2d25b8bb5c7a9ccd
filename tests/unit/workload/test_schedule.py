"""`schedule`: what is read, what is refused, and what one occurrence asks for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from harchos_infra.workload.occurrence import describe, next_occurrence
from harchos_infra.workload.public import public_document
from harchos_infra.workload.work import work_sha256
from support.documents import Loading, Refusal

NIGHTLY = """
    type: batch
    command: echo
    duration: 1h
    schedule: {cron: "0 22 * * MON-FRI", timezone: Europe/Paris, doneWithin: 8h}
"""


def test_the_next_occurrence_is_a_window_that_its_tick_opens(loading: Loading) -> None:
    workload = loading(NIGHTLY).workload
    friday = datetime(2026, 11, 27, 20, 30, tzinfo=UTC)
    spec = next_occurrence(workload, friday).spec
    assert spec.earliest_start == datetime(2026, 11, 27, 21, tzinfo=UTC)
    assert spec.deadline == datetime(2026, 11, 28, 5, tzinfo=UTC)
    assert spec.schedule is not None
    assert describe(spec.schedule, spec.earliest_start) == (
        "2026-11-27 22:00 to 2026-11-28 06:00 Europe/Paris, of 0 22 * * MON-FRI; "
        "then 2026-11-30 22:00, 2026-12-01 22:00"
    )


def test_without_a_window_it_is_to_start_at_the_tick(loading: Loading) -> None:
    workload = loading(NIGHTLY.replace(", doneWithin: 8h", "")).workload
    spec = next_occurrence(workload, datetime(2026, 11, 27, 20, 30, tzinfo=UTC)).spec
    assert (spec.earliest_start, spec.deadline) == (datetime(2026, 11, 27, 21, tzinfo=UTC), None)


def test_every_occurrence_is_the_same_work(loading: Loading) -> None:
    workload = loading(NIGHTLY).workload
    once = loading(NIGHTLY[: NIGHTLY.index("    schedule")]).workload
    assert work_sha256(next_occurrence(workload, datetime.now(UTC))) == work_sha256(workload)
    assert work_sha256(once) == work_sha256(workload)
    assert public_document(workload)["spec"]["schedule"] == {
        "cron": "0 22 * * MON-FRI",
        "timezone": "Europe/Paris",
        "doneWithin": "8h",
    }


def test_a_job_may_pause_within_its_window(loading: Loading) -> None:
    pausing = NIGHTLY + "    interruptible: true\n    checkpoint: {sizeGiB: 1}\n"
    assert loading(pausing).ignored == ()
    fixed = pausing.replace(", doneWithin: 8h", "")
    assert {field.path for field in loading(fixed).ignored} == {
        "spec.interruptible",
        "spec.checkpoint.sizeGiB",
    }


@pytest.mark.parametrize(
    ("right", "wrong", "where", "what"),
    [
        ("0 22 * * MON-FRI", "0 24 * * *", "spec.schedule.cron", "the hour is none that there is"),
        ("Europe/Paris", "Paris", "spec.schedule.timezone", "did you mean Europe/Paris"),
        ("8h", "25h", "spec.schedule", "doneWithin is 25h, and `0 22 * * MON-FRI` comes again after 24h"),
        ("duration: 1h", "deadline: 8h", "spec.deadline", "opens a window of its own"),
        (
            "duration: 1h",
            "earliestStart: 2026-11-24T06:00Z",
            "spec.earliestStart",
            "opens a window of its own",
        ),
        ("doneWithin", "donewithin", "spec.schedule.donewithin", "did you mean `doneWithin`"),
    ],
)
def test_what_is_no_schedule_is_refused_where_it_stands(
    refusal: Refusal, right: str, wrong: str, where: str, what: str
) -> None:
    (error,) = refusal(NIGHTLY.replace(right, wrong))
    assert f" {where}: " in str(error)
    assert what in str(error)


def test_a_window_shorter_than_the_duration_is_warned_about(loading: Loading) -> None:
    (warning,) = loading(NIGHTLY.replace("duration: 1h", "duration: 9h")).warnings
    assert "the window is shorter than the duration" in str(warning)

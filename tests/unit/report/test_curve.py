"""The curve of what a job reported: on the run's own clock, broken where it was paused."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from harchos_infra.report.account import account
from harchos_infra.report.figures.curve import curve, metric_of
from harchos_infra.report.html import render_html
from harchos_infra.runs.metrics import MOST_POINTS, read_metrics
from support.records import START, record


def with_metrics(**metrics):
    hub = record().hubs[0]
    points = {
        name: [(hub.created_at + timedelta(seconds=n), v) for n, v in enumerate(values)]
        for name, values in metrics.items()
    }
    return record(metrics=points)


def test_the_loss_is_drawn_before_any_other_metric():
    assert metric_of(with_metrics(accuracy=[0.1], loss=[1.0])) == "loss"
    assert metric_of(with_metrics(accuracy=[0.1])) == "accuracy"
    assert metric_of(record()) is None


def test_a_run_without_metrics_has_no_curve():
    r = record()
    assert curve(r, account(r), 900, "k") is None
    assert "What the job reported" not in render_html(r, account(r))


def test_the_curve_has_every_point_while_a_hub_lived():
    r = with_metrics(loss=[1.4, 0.5, 0.25])
    drawn = curve(r, account(r), 900, "k")
    assert drawn is not None
    assert [row[1] for row in drawn.rows] == ["1.40", "0.500", "0.250"]
    assert "What the job reported" in render_html(r, account(r))


def test_lines_that_are_no_metrics_are_passed_over(tmp_path: Path):
    file = tmp_path / "metrics.jsonl"
    lines = ["not json", '{"loss": 1}', '{"at": "soon", "loss": 1}', "[]"]
    file.write_text(
        "\n".join([*lines, json.dumps({"at": START.isoformat(), "loss": 2, "done": True, "name": "x"})])
    )
    assert read_metrics(file) == {"loss": [(START.timestamp(), 2.0)]}
    assert read_metrics(tmp_path / "nothing") == {}


def test_a_long_series_is_thinned_evenly_and_keeps_its_ends(tmp_path: Path):
    file = tmp_path / "metrics.jsonl"
    with file.open("w") as out:
        for n in range(5000):
            print(json.dumps({"at": (START + timedelta(seconds=n)).isoformat(), "loss": n}), file=out)
    points = read_metrics(file)["loss"]
    assert len(points) == MOST_POINTS
    assert (points[0][1], points[-1][1]) == (0.0, 4999.0)

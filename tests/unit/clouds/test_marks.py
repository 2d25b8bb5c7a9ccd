"""Marks: whose a resource is, read from labels, tags and descriptions, and from nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from harchos_infra.clouds.marks import Marks, label_value, of_description, of_labels

AT = datetime(2026, 11, 24, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "labels",
    [
        {"harchos-run": "r-1a2b3c", "harchos-hub": "r-1a2b3c-h1", "harchos-expires": "2026-11-24t06-00-00z"},
        {"harchos:run": "r-1a2b3c", "harchos:hub": "r-1a2b3c-h1", "harchos:expires": "2026-11-24T06:00:00Z"},
    ],
)
def test_labels_and_tags_say_the_same(labels: dict[str, str]) -> None:
    assert of_labels(labels | {"team": "x"}) == Marks("r-1a2b3c", "r-1a2b3c-h1", AT)


@pytest.mark.parametrize(
    "text",
    [
        "harchos-expires=2026-11-24t06-00-00z harchos-hub=r-1a2b3c-h1 harchos-run=r-1a2b3c harchos-x=r",
        "harchos:expires=2026-11-24T06:00:00Z harchos:hub=r-1a2b3c-h1 harchos:run=r-1a2b3c",
    ],
)
def test_a_description_says_the_same_as_labels(text: str) -> None:
    assert of_description(text) == Marks("r-1a2b3c", "r-1a2b3c-h1", AT)


@pytest.mark.parametrize("text", [None, "", "harchos hub of ada", "harchos-hub", "harchos-workload=r"])
def test_a_text_that_only_mentions_us_is_no_mark(text: str | None) -> None:
    assert of_description(text) is None


@pytest.mark.parametrize("labels", [None, {}, {"run": "r", "hub": "h"}, {"harchos-workload": "r"}])
def test_labels_of_others_are_no_marks(labels: dict[str, str] | None) -> None:
    assert of_labels(labels) is None


def test_a_hub_tells_its_run_where_no_mark_does() -> None:
    assert of_labels({"harchos-hub": "r-1a2b3c-h2"}) == Marks("r-1a2b3c", "r-1a2b3c-h2", None)


def test_a_time_that_cannot_be_read_is_none() -> None:
    found = of_labels({"harchos-hub": "r-1a2b3c-h2", "harchos-expires": "soon"})
    assert found is not None and found.expires is None


def test_names_match_as_labels_hold_them() -> None:
    marks = Marks("llm-v1-2-1a2b3c", "llm-v1-2-1a2b3c-h1", None)
    assert marks.match("llm.v1.2-1a2b3c", None) and marks.match(None, "llm.v1.2-1a2b3c-h1")
    assert not marks.match(None, "llm.v1.2-1a2b3c-h2")


def test_long_names_that_begin_alike_have_different_labels() -> None:
    one, other = (f"{'long-name-' * 8}1a2b3c-h{n}" for n in (1, 2))
    assert label_value(one) != label_value(other)
    assert len(label_value(one)) == len(label_value(other)) == 63

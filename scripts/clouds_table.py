"""Writes what a test run has shown of each cloud's hubs into docs/clouds.md.

    pytest -o junit_family=xunit1 --junitxml run.xml \\
        tests/integration/test_terraform_clouds*.py tests/integration/test_checkov.py tests/unit/provision
    python scripts/clouds_table.py run.xml

What was not part of the run, or did not pass, is shown as that.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "clouds.md"
CLOUDS = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure"}
STEPS = ("init", "validate", "plan", "apply", "second plan", "destroy")
CHECK = re.compile(r"^\| *`?CKV2?_(AWS|GCP|AZURE)_\d+", re.M)


@dataclass
class Case:
    """One test of the run."""

    test: str
    parameters: str
    outcome: str
    """`passed`, `failed` or `skipped`."""
    recorded: dict[str, str] = field(default_factory=dict)

    def is_of(self, cloud: str) -> bool:
        return re.match(rf"{cloud}\b", self.parameters) is not None


def read(run: Path) -> list[Case]:
    """Read a JUnit file as pytest writes it."""
    return [_case(element) for element in ET.parse(run).iter("testcase")]


def _case(element: ET.Element) -> Case:
    test, _, parameters = element.get("name", "").partition("[")
    children = {child.tag for child in element}
    outcome = (
        "failed" if children & {"failure", "error"} else "skipped" if "skipped" in children else "passed"
    )
    recorded = {p.get("name", ""): p.get("value", "") for p in element.iter("property")}
    return Case(test, parameters.removesuffix("]"), outcome, recorded)


def table(cases: list[Case]) -> str:
    """Return the table as Markdown: a row for each thing shown, a column for each cloud."""
    columns = [_column([case for case in cases if case.is_of(cloud)], cloud) for cloud in CLOUDS]
    lines = ["| | " + " | ".join(CLOUDS.values()) + " |", "|:--|" + ":--|" * len(columns)]
    lines += [f"| {name} | " + " | ".join(column[name] for column in columns) + " |" for name in columns[0]]
    return "\n".join(lines)


def _column(cases: list[Case], cloud: str) -> dict[str, str]:
    faults = [case for case in cases if case.test == "test_after_any_fault_a_destroy_leaves_nothing"]
    kinds = {case.parameters.split("-")[1] for case in faults}
    refusals = [case for case in cases if case.test == "test_a_refusal_is_recognised_and_keeps_its_words"]
    deletes = [case for case in cases if case.test == "test_what_terraform_may_not_delete_goes_by_its_marks"]
    survivors = [
        int(case.recorded["survivors"]) for case in (*faults, *deletes) if "survivors" in case.recorded
    ]
    steps = _one(cases, "test_a_root_goes_through_every_step")
    marks = _one(cases, "test_everything_that_can_carry_the_marks_carries_them")
    marked = marks.recorded.get("marked", "not run")
    created = f"{steps.recorded.get('resources', 'not run')}, of {len(kinds)} kinds"
    return {
        "resources of a hub of two spot nodes with an open port and a secret": created,
        "of them, carry the marks as tags or labels": f"{marked}, all that can",
        "changes in a second plan": "0" if steps.outcome == "passed" else steps.outcome,
        "creates that were refused, came too late, or died with Terraform": (
            f"{len(faults)}, three at each kind: {_passed(faults)}"
        ),
        "deletes that Terraform may not do": f"{len(deletes)}, one at each kind: {_passed(deletes)}",
        "survivors of a destroy after each of them": str(sum(survivors)) if survivors else "not run",
        "refusals recognised, each with what to do next": f"{len(refusals)}, {_passed(refusals)}",
        "checkov on the complete example (docs/security)": _checkov(cases, cloud),
        "seconds of " + ", ".join(STEPS): ", ".join(
            steps.recorded.get(f"seconds of {s}", "-") for s in STEPS
        ),
    }


def _checkov(cases: list[Case], cloud: str) -> str:
    case = _one(cases, "test_no_check_fails_that_is_not_accepted_with_a_reason")
    if case.outcome != "passed":
        return case.outcome
    pages = "".join(page.read_text() for page in sorted((ROOT / "docs").glob("security*.md")))
    accepted = sum(name == cloud.upper() for name in CHECK.findall(pages))
    return f"{accepted} failed, each accepted with a reason"


def _one(cases: list[Case], test: str) -> Case:
    return next((case for case in cases if case.test == test), Case(test, "", "not run"))


def _passed(cases: list[Case]) -> str:
    failed = sum(case.outcome != "passed" for case in cases)
    return f"{failed} failed" if failed else "all passed" if cases else "not run"


def main() -> None:
    text = table(read(Path(sys.argv[1])))
    print(text)
    marks = r"(<!-- table -->\n).*?(<!-- /table -->)"
    PAGE.write_text(re.sub(marks, lambda m: f"{m[1]}{text}\n{m[2]}", PAGE.read_text(), flags=re.S))


if __name__ == "__main__":
    main()

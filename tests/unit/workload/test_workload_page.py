from __future__ import annotations

import re
from pathlib import Path

from harchos_infra.workload.json_schema import known_keys

PAGE = Path(__file__).parents[3] / "docs" / "workload.md"


def test_the_page_names_every_field() -> None:
    page = re.sub(r"```.*?```", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    named = set(re.findall(r"[A-Za-z]+", " ".join(re.findall(r"`([^`]+)`", page))))
    fields = {key for keys in known_keys().values() for key in keys}
    assert fields - named == set()


def test_the_example_of_the_page_is_a_workload(tmp_path: Path) -> None:
    from harchos_infra.workload.loader import load

    example = re.search(r"```yaml[^\n]*\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    file = tmp_path / "example.yaml"
    file.write_text(example[1], encoding="utf-8")
    loaded = load(file)
    assert loaded.warnings == loaded.ignored == ()

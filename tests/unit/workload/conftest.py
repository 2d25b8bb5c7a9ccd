from __future__ import annotations

from pathlib import Path

import pytest

from harchos_infra.workload.diagnostic import Diagnostic, DocumentError
from harchos_infra.workload.loader import LoadedWorkload, load
from support.documents import Loading, Refusal, document


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "job.yaml"


@pytest.fixture
def loading(file: Path) -> Loading:
    """Load a document with the given specification."""

    def _load(spec: str) -> LoadedWorkload:
        file.write_text(document(spec), encoding="utf-8")
        return load(file)

    return _load


@pytest.fixture
def refusal(file: Path) -> Refusal:
    """Return why a document is refused: a whole file as bytes, or a specification as text."""

    def _refuse(content: str | bytes) -> tuple[Diagnostic, ...]:
        file.write_bytes(content if isinstance(content, bytes) else document(content).encode())
        with pytest.raises(DocumentError) as refused:
            load(file)
        return refused.value.diagnostics

    return _refuse

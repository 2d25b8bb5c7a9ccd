"""A fault at every kind of resource that a hub consists of: whatever happens, a destroy leaves nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harchos_infra.provision.failure import ProvisionError
from support.schema_replay import Fault, Replay
from support.schema_replay.fixture import replay as replay
from support.schema_replay.refused import REFUSED
from support.schema_replay.stage import CLOUDS, kinds, staged

Record = Callable[[str, object], None]
EVERYWHERE = pytest.mark.parametrize(
    ("cloud", "kind"), [(cloud, kind) for cloud in CLOUDS for kind in kinds(cloud)]
)
DENIED = {r.cloud: r.text for r in REFUSED if r.code == "permission"}
TOO_LATE = Fault(error="timeout while waiting for state", leaves="tainted")
KILLED = Fault(crash=True, leaves="orphan")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        pytest.param(None, "permission", id="refused"),
        pytest.param(TOO_LATE, "timeout", id="made, but its answer came too late"),
        pytest.param(KILLED, "crash", id="Terraform was killed when it was made"),
    ],
)
@EVERYWHERE
def test_after_any_fault_a_destroy_leaves_nothing(
    cloud: str,
    kind: str,
    fault: Fault | None,
    code: str,
    replay: Replay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    stage = staged(cloud, replay, tmp_path, monkeypatch)
    replay.faults[f"{kind}:create"] = fault or Fault(error=DENIED[cloud])
    with pytest.raises(ProvisionError) as raised:
        stage.provisioner().create(stage.spec)
    assert raised.value.code == code
    stage.provisioner().destroy(stage.spec)
    record_property("survivors", str(len(stage.left)))
    assert stage.left == []


@EVERYWHERE
def test_what_terraform_may_not_delete_goes_by_its_marks(
    cloud: str,
    kind: str,
    replay: Replay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    stage = staged(cloud, replay, tmp_path, monkeypatch)
    stage.provisioner().create(stage.spec)
    replay.faults[f"{kind}:delete"] = Fault(error=DENIED[cloud])
    stage.provisioner().destroy(stage.spec)
    record_property("survivors", str(len(stage.left)))
    assert stage.left == []

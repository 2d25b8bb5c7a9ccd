"""What a job leaves in its output directory: stored whole, or refused by name, never lost for a neighbour."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.outputs import Outputs


@pytest.mark.parametrize(
    ("name", "shown"), [(b"bad\xff", "bad\\udcff"), ("ü".encode() * 100, "ü" * 100)], ids=["bytes", "long"]
)
def test_a_name_that_no_object_can_have_costs_only_its_own_file(
    tmp_path: Path, name: bytes, shown: str
) -> None:
    directory = tmp_path / "outputs"
    directory.mkdir()
    (directory / "good").write_text("result")
    Path(os.fsdecode(os.fsencode(directory) + b"/" + name)).write_text("lost")
    mailbox = Mailbox((tmp_path / "mailbox").as_uri(), "run", "hub")
    assert Outputs(mailbox, directory).upload() == [shown]
    assert mailbox.get("outputs/good") == b"result"
    assert [entry["path"] for entry in mailbox.get_json("outputs.json")] == ["good"]

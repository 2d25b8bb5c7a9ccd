"""What a job leaves in its output directory: stored whole, or refused by name, never lost for a neighbour."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.nodes import node_boxes
from harchos_infra.hub.outputs import Outputs, carried, put_out
from harchos_infra.runs.collect import collect
from harchos_infra.runs.handover import handover_outputs


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


class Hub:
    """A hub whose two nodes put files out."""

    def __init__(self, root: Path, name: str) -> None:
        self.boxes = node_boxes(Mailbox((root / "mailbox").as_uri(), "run", f"run-{name}"), 2)
        self.directories = [root / name / str(node) for node in range(2)]
        for directory in self.directories:
            directory.mkdir(parents=True)
        self.outputs = [
            Outputs(box, directory, node)
            for node, (box, directory) in enumerate(zip(self.boxes, self.directories, strict=True))
        ]

    def add(self, node: int, name: str, text: str) -> None:
        with (self.directories[node] / name).open("a") as file:
            file.write(text)

    def store(self) -> None:
        for outputs in self.outputs:
            outputs.upload()

    def found(self) -> dict[str, bytes | None]:
        return {item.path: box.get(name) for box, name, item in put_out(self.boxes) or []}


def test_a_file_of_one_name_that_nodes_wrote_apart_is_kept_for_each(tmp_path: Path) -> None:
    hub = Hub(tmp_path, "h1")
    for node in (0, 1):
        hub.add(node, "log", f"of {node}")
        hub.add(node, "same", "same")
    hub.add(1, "only", "of 1")
    hub.store()
    assert hub.found() == {"log": b"of 0", "n1/log": b"of 1", "only": b"of 1", "same": b"same"}
    collect([hub.boxes], tmp_path / "run")
    assert (tmp_path / "run" / "outputs" / "n1" / "log").read_text() == "of 1"


def test_the_next_hub_goes_on_with_each_nodes_own_and_with_whoever_writes_now(tmp_path: Path) -> None:
    hub, later = Hub(tmp_path, "h1"), Hub(tmp_path, "h2")
    for node in (0, 1):
        hub.add(node, "log", f"{node}")
    hub.add(0, "metrics", "1")
    hub.store()
    handover_outputs(hub.boxes, later.boxes[0])
    for outputs in later.outputs:
        outputs.restore(carried(later.boxes[0]))
    for node in (0, 1):
        later.add(node, "log", f"{node}")
    later.add(1, "metrics", "2")
    later.store()
    assert later.found() == {"log": b"00", "n1/log": b"11", "metrics": b"12"}


def test_what_only_some_nodes_have_put_out_does_not_count(tmp_path: Path) -> None:
    hub = Hub(tmp_path, "h1")
    assert put_out(hub.boxes) is None
    hub.outputs[1].upload()
    assert put_out(hub.boxes) is None
    hub.outputs[0].upload()
    assert put_out(hub.boxes) == []

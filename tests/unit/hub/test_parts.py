"""Checkpoints of several nodes: the union of what each wrote, once every node has stored its part."""

from __future__ import annotations

from pathlib import Path

import pytest

from harchos_infra.hub.checkpoints import generations
from harchos_infra.hub.files import DamagedError
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.parts import Generations, Parts
from harchos_infra.runs.handover import handover

RUN = "run-0a1b2c"


class Hub:
    """A hub whose nodes write checkpoints."""

    def __init__(self, root: Path, name: str, nodes: int) -> None:
        self.box = Mailbox((root / "mailbox").as_uri(), RUN, f"{RUN}-{name}")
        self.directories = [root / name / str(node) for node in range(nodes)]
        for directory in self.directories:
            directory.mkdir(parents=True)
        self.parts = [Parts(self.box, i, nodes, d) for i, d in enumerate(self.directories)]
        self.generations = Generations(self.box, nodes)

    def write(self, node: int, **files: str) -> None:
        for name, text in files.items():
            (self.directories[node] / name).write_text(text)

    def save(self) -> int | None:
        return self.generations.publish([part.upload() for part in self.parts])

    def restore(self) -> list[int | None]:
        return [part.restore(print) for part in self.parts]

    def holds(self, node: int) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(self.directories[node].iterdir())}


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path, "h1", 2)


def test_every_node_starts_from_what_all_of_them_wrote(hub: Hub) -> None:
    hub.write(0, shard0="a", both="of 0")
    hub.write(1, shard1="b", both="of 1")
    assert hub.save() == 1
    assert hub.restore() == [1, 1]
    assert hub.holds(0) == hub.holds(1) == {"both": "of 0", "shard0": "a", "shard1": "b"}


def test_what_only_one_node_has_stored_never_counts(hub: Hub) -> None:
    hub.write(0, shard0="1")
    hub.write(1, shard1="1")
    hub.save()
    hub.write(0, shard0="2")
    hub.parts[0].upload()
    assert generations(hub.box) == [1]
    hub.restore()
    assert hub.holds(0) == {"shard0": "1", "shard1": "1"}


def test_a_part_that_is_missing_makes_no_generation(hub: Hub) -> None:
    hub.write(0, shard0="1")
    with pytest.raises(DamagedError):
        hub.generations.publish([hub.parts[0].upload(), 7])
    assert generations(hub.box) == []


def test_a_file_counts_as_the_node_wrote_it_that_changed_it_last(hub: Hub) -> None:
    hub.write(0, model="step 1")
    hub.save()
    hub.restore()
    hub.write(1, model="step 2, by node 1")
    hub.save()
    hub.restore()
    assert hub.holds(0) == {"model": "step 2, by node 1"}
    hub.write(0, model="step 3, by node 0")
    hub.save()
    hub.restore()
    assert hub.holds(1) == {"model": "step 3, by node 0"}


def test_a_node_does_not_store_what_it_only_got_from_another(hub: Hub) -> None:
    hub.write(1, shard1="b")
    hub.save()
    hub.restore()
    hub.write(0, shard0="a")
    hub.write(1, shard1="b, later")
    hub.save()
    assert [entry.name for entry in hub.box.list("parts")] == ["parts/00000001.json", "parts/00000001/shard0"]
    hub.restore()
    assert hub.holds(0) == {"shard0": "a", "shard1": "b, later"}


def test_nothing_new_makes_no_generation(hub: Hub) -> None:
    assert hub.save() is None
    hub.write(1, shard1="b")
    assert [hub.save(), hub.save()] == [1, None]


def test_two_generations_are_kept_with_the_parts_that_they_are_made_of(hub: Hub) -> None:
    hub.write(1, fixed="always")
    for step in range(4):
        hub.write(0, model=str(step))
        hub.save()
    assert generations(hub.box) == [4, 3]
    assert {entry.name[:14] for entry in hub.box.list("parts")} == {"parts/00000003", "parts/00000004"}
    hub.restore()
    assert hub.holds(1) == {"fixed": "always", "model": "3"}


@pytest.mark.parametrize("nodes", [1, 3])
def test_the_next_hub_goes_on_from_all_of_it_with_more_nodes_or_with_fewer(
    hub: Hub, tmp_path: Path, nodes: int
) -> None:
    hub.write(0, shard0="a")
    hub.write(1, shard1="b")
    hub.save()
    later = Hub(tmp_path, "h2", nodes)
    assert handover(hub.box, later.box) == 1
    assert later.restore() == [1] * nodes
    assert all(later.holds(node) == {"shard0": "a", "shard1": "b"} for node in range(nodes))
    later.write(0, shard0="a, later")
    assert later.save() == 2
    later.restore()
    assert later.holds(0) == {"shard0": "a, later", "shard1": "b"}

"""A hub of two nodes: agents as they are, a job that starts on both and ends on both."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from harchos_infra.hub.outputs import put_out
from tests.support.gang import Gang
from tests.support.machine import survivors

WAITS = (
    "trap 'echo saved > $HARCHOS_CHECKPOINT_DIR/of-$HARCHOS_NODE; exit 0' TERM; "
    "echo on; while :; do sleep 0.1; done"
)
CHECKPOINT = {"path": "saved", "interval_s": None, "grace_s": 10.0, "command": None}


@pytest.fixture
def gang(tmp_path: Path, agent: Path) -> Iterator[Gang]:
    gang = Gang(tmp_path, agent, f"test-{uuid.uuid4().hex[:6]}", nodes=2)
    yield gang
    gang.stop()
    assert [survivors(node.hub) for node in gang.nodes] == [[], []]


def files(gang: Gang) -> list[tuple[str, int]]:
    manifest = json.loads(gang.leader.mailbox.get("checkpoints/00000001.json") or b"{}")
    return [(file["path"], file.get("node", 0)) for file in manifest["files"]]


def test_a_job_succeeds_when_it_has_on_every_node(gang: Gang) -> None:
    gang.shell(
        'echo "node $HARCHOS_NODE of $HARCHOS_NODES, $PET_NNODES at $PET_RDZV_ENDPOINT";'
        "echo $PET_RDZV_ID > $HARCHOS_OUTPUT_DIR/of-$HARCHOS_NODE;"
        "echo $HARCHOS_NODE > $HARCHOS_OUTPUT_DIR/who"
    )
    gang.start()
    phases = [node.wait_end()["phase"] for node in gang.nodes]
    assert phases == ["succeeded", "succeeded"]
    said = [node.log() for node in gang.nodes]
    assert said[0].startswith("node 0 of 2, 2 at 127.0.0.1:")
    assert said[0].replace("node 0", "node 1") == said[1]
    found = put_out([node.mailbox for node in gang.nodes]) or []
    assert [item.path for _, _, item in found] == ["n1/who", "of-0", "of-1", "who"]
    ids = {box.get(name) for box, name, item in found if item.path.startswith("of")}
    assert len(ids) == 1


RETRIED = """
saved="$HARCHOS_CHECKPOINT_DIR"
echo "node $HARCHOS_NODE finds $(ls "$saved" | tr '\\n' ' ')"
if [ -e "$saved/of-0" ] && [ -e "$saved/of-1" ]; then exit 0; fi
echo "$HARCHOS_NODE" > "$saved/of-$HARCHOS_NODE"
[ "$HARCHOS_NODE" = 0 ] && exec sleep 600
sleep 1
exit 3
"""


def test_a_job_that_fails_on_one_node_starts_again_on_all_with_what_all_had_saved(gang: Gang) -> None:
    gang.shell(RETRIED, checkpoint=CHECKPOINT, max_retries=1)
    gang.start()
    assert [node.wait_end()["phase"] for node in gang.nodes] == ["succeeded", "succeeded"]
    assert [node.status()["attempt"] for node in gang.nodes] == [2, 2]
    for number, node in enumerate(gang.nodes):
        assert f"node {number} finds of-0 of-1" in node.log()
        assert "attempt 1 of 2 failed: the job exited with code 3 on node 1; starting again" in node.log()


def test_a_job_that_has_no_retries_fails_on_all(gang: Gang) -> None:
    gang.shell('[ "$HARCHOS_NODE" = 1 ] && exit 3; exec sleep 600')
    gang.start()
    ends = [node.wait_end() for node in gang.nodes]
    assert [(end["phase"], end["reason"]) for end in ends] == [
        ("failed", "the job exited with code 3 on node 1")
    ] * 2


def test_a_wish_of_the_controller_ends_all_nodes_with_what_each_saved(gang: Gang) -> None:
    gang.shell(WAITS, checkpoint=CHECKPOINT)
    gang.start()
    for node in gang.nodes:
        node.wait_log("on")
    gang.leader.mailbox.put_json("control.json", {"want": "checkpoint", "reason": "its segment ends"})
    ends = [node.wait_end() for node in gang.nodes]
    assert [(end["phase"], end["reason"]) for end in ends] == [("stopped", "its segment ends")] * 2
    assert files(gang) == [("of-0", 0), ("of-1", 1)]


def test_what_ends_one_node_ends_all_of_them(gang: Gang) -> None:
    gang.shell(WAITS, checkpoint=CHECKPOINT)
    gang.start()
    for node in gang.nodes:
        node.wait_log("on")
    os.kill(gang.nodes[1].pid_of("worker"), signal.SIGTERM)
    end = gang.leader.wait_end()
    assert (end["phase"], end["reason"]) == ("stopped", "the hub was asked to stop (node 1)")
    assert files(gang) == [("of-0", 0), ("of-1", 1)]


def test_a_node_that_dies_in_an_attempt_is_said_to_be_lost(gang: Gang) -> None:
    gang.shell('[ "$HARCHOS_NODE" = 0 ] && sleep 3 && exit 1; exec sleep 600')
    gang.start()
    gang.nodes[1].wait_phase("running")
    os.kill(gang.nodes[1].pid_of("worker"), signal.SIGKILL)
    assert gang.nodes[1].wait_end()["reason"] == "the agent's worker was killed by SIGKILL"
    assert gang.nodes[1].start().returncode == 0
    assert gang.leader.wait_end()["reason"] == "node 1 was lost: its agent started again"

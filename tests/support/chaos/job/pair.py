"""A training of two nodes in miniature, `pair STEPS TRACES`: in step, each with weights of its own.

The last weights are made of both. Each start tells from which step a node goes on, and whether what it found
was whole; and it tells when it has found of the other one what that had not found itself.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TextIO

from .start import Start, knows_its_secret

STEPS = 70
STEP_S, SAVED_EVERY, COPIES = 0.1, 4, 512
MEETING_S = 20.0


def weights(node: int, steps: int) -> str:
    """Return a node's weights after so many steps."""
    value = b"%d" % node
    for _ in range(steps):
        value = hashlib.sha256(value).digest()
    return value.hex()


def united(each: list[str]) -> str:
    """Return the weights that both make together."""
    return hashlib.sha256("".join(each).encode()).hexdigest()


def saved(node: int, steps: int) -> str:
    """Return the content of a node's file in the checkpoint."""
    return f"{steps:08} {weights(node, steps) * COPIES}"


def found(node: int) -> int:
    """Return from which step a node goes on, -1 where its file is torn."""
    file = _file(node)
    text = file.read_text() if file.exists() else saved(node, 0)
    done = int(text[:8]) if text[:8].isdigit() else 0
    return done if text == saved(node, done) else -1


def main(steps: int, traces: Path) -> int:
    node = int(os.environ["HARCHOS_NODE"])
    if not knows_its_secret():
        return 8
    done, theirs = found(node), found(1 - node)
    meeting = os.environ["PET_RDZV_ID"]
    start = Start(traces, f"node {node}", node=node, step=done, whole=min(done, theirs) >= 0, meeting=meeting)
    if not start.alone or min(done, theirs) < 0:
        return 9
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    with closing(_meet(node)) as other, other.makefile("rw") as line:
        if _exchange(line, done) != [str(theirs)]:
            start.tell("apart")
            return 10
        return train(node, done, steps, line, asked)


def train(node: int, done: int, steps: int, line: TextIO, asked: list[int]) -> int:
    theirs, their_weights = 0, ""
    while min(done, theirs) < steps:
        time.sleep(STEP_S)
        done = min(done + 1, steps)
        if asked or done % SAVED_EVERY == 0:
            save(node, done)
        told = None if asked else _exchange(line, done, weights(node, done))
        if told is None:
            return 143 if asked else 1
        theirs, their_weights = int(told[0]), told[1]
    save(node, done)
    out = Path(os.environ["HARCHOS_OUTPUT_DIR"])
    (out / f"part-{node}").write_text(weights(node, done))
    if node == 0:
        (out / "weights").write_text(united([weights(0, done), their_weights]))
    return 0


def save(node: int, done: int) -> None:
    part = _file(node).with_suffix(".part")
    part.write_text(saved(node, done))
    part.replace(_file(node))


def _file(node: int) -> Path:
    return Path(os.environ["HARCHOS_CHECKPOINT_DIR"], f"node-{node}.bin")


def _meet(node: int) -> socket.socket:
    """Return the connection of the two: node 0 listens where its hub has told both."""
    where = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    if node == 0:
        with socket.create_server(where) as server:
            server.settimeout(MEETING_S)
            return server.accept()[0]
    until = time.monotonic() + MEETING_S
    while time.monotonic() < until:
        with suppress(ConnectionRefusedError):
            return socket.create_connection(where, MEETING_S)
        time.sleep(STEP_S)
    raise TimeoutError("node 0 does not listen")


def _exchange(line: TextIO, *words: object) -> list[str] | None:
    """Say a line, and return what the other one says; None where it is gone."""
    with suppress(OSError):
        print(*words, file=line, flush=True)
        return line.readline().split() or None
    return None


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))

"""A training in miniature, `train STEPS TRACES`: its last weights are the same whatever happened.

Weights are a chain of hashes, saved every few steps. Each start tells from which step it goes on, and whether
what it found was whole.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

from .start import Start, knows_its_secret

STEPS = 110
STEP_S, SAVED_EVERY, COPIES = 0.1, 4, 2048


def weights(steps: int) -> bytes:
    """Return the weights after so many steps."""
    value = b"chaos"
    for step in range(steps):
        value = hashlib.sha256(value + step.to_bytes(4, "big")).digest()
    return value


def saved(steps: int) -> bytes:
    """Return a checkpoint's content: large enough to be torn."""
    return b"%08d" % steps + weights(steps) * COPIES


def main(steps: int, traces: Path) -> int:
    file = Path(os.environ["HARCHOS_CHECKPOINT_DIR"], "model.bin")
    found = file.read_bytes() if file.exists() else saved(0)
    done = int(found[:8]) if found[:8].isdigit() else -1
    whole = found == saved(max(done, 0))
    if not knows_its_secret():
        return 8
    start = Start(traces, "training", whole=whole, step=done)
    return train(done, steps, file) if whole and start.alone else 9


def train(done: int, steps: int, file: Path) -> int:
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    while done < steps and not asked:
        time.sleep(STEP_S)
        done += 1
        if done % SAVED_EVERY == 0:
            save(file, done)
    save(file, done)
    if done < steps:
        return 143
    Path(os.environ["HARCHOS_OUTPUT_DIR"], "weights").write_text(weights(done).hex() + "\n")
    return 0


def save(file: Path, done: int) -> None:
    part = file.with_suffix(".part")
    part.write_bytes(saved(done))
    part.replace(file)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))

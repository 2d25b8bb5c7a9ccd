"""An item of a queue in miniature, `item TRACES`: what it puts out depends on the item alone.

It puts one half out in its middle and the other at its end, so that what an attempt left behind would show;
each start and each end is told.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path

from .start import Start, knows_its_secret

ITEM_S = 1.0


def result(item: str) -> str:
    """Return what an item puts out."""
    halves = (hashlib.sha256(f"{item} {half}".encode()).hexdigest() for half in range(2))
    return "".join(f"{half}\n" for half in halves)


def main(traces: Path) -> int:
    item, out = os.environ["HARCHOS_ITEM"], Path(os.environ["HARCHOS_OUTPUT_DIR"])
    if not knows_its_secret():
        return 8
    start = Start(traces, f"item {item}", item=item)
    if not start.alone:
        return 9
    for half in result(item).splitlines(keepends=True):
        time.sleep(ITEM_S / 2)
        with (out / "result").open("a") as file:
            file.write(half)
    (out / "hub").write_text(f"{start.hub}\n")
    start.tell("ended", item=item)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

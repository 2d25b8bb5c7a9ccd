"""Estimate pi by throwing points at a square: one item of a queue, whose number is the seed.

The result is `estimate.json` in `$HARCHOS_OUTPUT_DIR`, which is the item's own. `--merge DIR` reads the
results of all items and prints their mean.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from math import sqrt
from pathlib import Path
from statistics import mean, stdev


def estimate(seed: int, points: int) -> float:
    """Return four times the share of points that lie in the quarter of a circle."""
    draw = random.Random(seed).random
    return 4 * sum(draw() ** 2 + draw() ** 2 <= 1.0 for _ in range(points)) / points


def merge(folder: Path) -> str:
    """Return the mean of all items' estimates, with its standard error."""
    found = [json.loads(path.read_text())["pi"] for path in sorted(folder.glob("*/estimate.json"))]
    spread = stdev(found) / sqrt(len(found)) if len(found) > 1 else float("nan")
    return f"{len(found)} items: pi is {mean(found):.5f} +- {spread:.5f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=300_000)
    parser.add_argument("--merge", type=Path, metavar="DIR")
    options = parser.parse_args()
    if options.merge is not None:
        print(merge(options.merge))
        return
    seed = int(os.environ.get("HARCHOS_ITEM_INDEX", "0"))
    out = Path(os.environ.get("HARCHOS_OUTPUT_DIR", "outputs"))
    out.mkdir(parents=True, exist_ok=True)
    part = out / "estimate.json.part"
    part.write_text(
        json.dumps({"seed": seed, "points": options.points, "pi": estimate(seed, options.points)})
    )
    part.replace(out / "estimate.json")


if __name__ == "__main__":
    main()

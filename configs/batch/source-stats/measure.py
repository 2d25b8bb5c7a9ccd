"""Measure every module of Python's standard library: independent items, each done once.

An item's result is a file of its own in `$HARCHOS_CHECKPOINT_DIR`, named by the item's content. Started
again, the job does what has no result yet. SIGTERM ends it with 143 after the items under way. At the end
`$HARCHOS_OUTPUT_DIR` holds `modules.csv`, and `failures.json` if an item could not be measured: the job then
ends with 1, the others done. `units.json` counts the files measured at this hub.
"""

from __future__ import annotations

import argparse
import ast
import csv
import hashlib
import json
import os
import signal
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from types import FrameType

STOPPED = 128 + signal.SIGTERM
LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages"}
BRANCHES = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.BoolOp, ast.IfExp, ast.comprehension)


def list_modules(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.py") if not LEFT_OUT & set(path.relative_to(root).parts))


def measure(source: bytes) -> dict[str, int]:
    """Count what the syntax tree of one module holds. Raises SyntaxError or ValueError."""
    nodes = list(ast.walk(ast.parse(source)))
    return {
        "lines": source.count(b"\n"),
        "functions": sum(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) for node in nodes),
        "classes": sum(isinstance(node, ast.ClassDef) for node in nodes),
        "branches": sum(isinstance(node, BRANCHES) for node in nodes),
    }


def result_path(results: Path, module: str, source: bytes) -> Path:
    """Name the result by the item's name and content: a changed module is measured anew."""
    return results / f"{hashlib.sha256(module.encode() + source).hexdigest()[:32]}.json"


def do_item(root: Path, module: str, results: Path) -> tuple[str, str | None]:
    """Measure one module unless that is done; return `done`, `skipped` or `failed`, and why."""
    source = (root / module).read_bytes()
    target = result_path(results, module, source)
    if target.exists():
        return "skipped", None
    try:
        row = {"module": module, **measure(source)}
    except (SyntaxError, ValueError) as error:
        return "failed", f"{module}: {error}"
    part = target.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(row))
    part.replace(target)
    return "done", None


def collect(root: Path, modules: Iterable[str], results: Path) -> list[dict[str, object]]:
    paths = (result_path(results, module, (root / module).read_bytes()) for module in modules)
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def count_files(path: Path, files: int) -> None:
    """Add to the files measured at this hub: earlier attempts here used energy too."""
    counted = json.loads(path.read_text())["files"] if path.exists() else 0
    path.write_text(json.dumps({"files": counted + files}))


def write_table(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, ["module", "lines", "functions", "classes", "branches"])
        table.writeheader()
        table.writerows(rows)


class Batch:
    """The items done so far, in worker processes, until all are done or SIGTERM comes."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter(done=0, skipped=0, failed=0)
        self.failures: list[str] = []
        self.stopped = False
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopped = True

    def run(self, root: Path, modules: list[str], results: Path, workers: int) -> None:
        # A SIGTERM to the whole group is for this process: the workers finish what they have in hand.
        with ProcessPoolExecutor(
            workers, initializer=signal.signal, initargs=(signal.SIGTERM, signal.SIG_IGN)
        ) as pool:
            futures = [pool.submit(do_item, root, module, results) for module in modules]
            for number, future in enumerate(as_completed(futures), start=1):
                outcome, why = future.result()
                self.outcomes[outcome] += 1
                if why:
                    self.failures.append(why)
                if number % 100 == 0:
                    print(f"{number}/{len(modules)} modules", flush=True)
                if self.stopped:
                    pool.shutdown(cancel_futures=True)
                    return


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the modules of a Python source tree.")
    parser.add_argument("--root", type=Path, default=Path(sysconfig.get_path("stdlib")))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    root = arguments.root
    outputs = Path(os.environ.get("HARCHOS_OUTPUT_DIR", "outputs"))
    results = Path(os.environ.get("HARCHOS_CHECKPOINT_DIR", "checkpoints"))
    for folder in (outputs, results):
        folder.mkdir(parents=True, exist_ok=True)

    modules = [str(path.relative_to(root)) for path in list_modules(root)]
    print(f"measuring {len(modules)} modules with {arguments.workers} workers", flush=True)
    batch = Batch()
    batch.run(root, modules, results, arguments.workers)
    count_files(outputs / "units.json", batch.outcomes["done"])
    print(", ".join(f"{number} {outcome}" for outcome, number in batch.outcomes.items()), flush=True)
    if batch.stopped:
        print("stopped on SIGTERM: start again for the rest", flush=True)
        return STOPPED
    rows = collect(root, modules, results)
    write_table(outputs / "modules.csv", rows)
    print(f"{sum(int(str(row['lines'])) for row in rows)} lines in {len(rows)} modules", flush=True)
    if batch.failures:
        (outputs / "failures.json").write_text(json.dumps(batch.failures, indent=2))
        print("\n".join(batch.failures), flush=True)
    return 1 if batch.failures else 0


if __name__ == "__main__":
    sys.exit(main())

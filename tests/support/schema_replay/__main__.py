"""Run a command, usually Terraform, against the replay: python -m support.schema_replay -- COMMAND…"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from support.schema_replay.fault import parse_fault
from support.schema_replay.replay import Replay
from support.schema_replay.world import Call


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m support.schema_replay", description=__doc__)
    parser.add_argument("--fault", action="append", default=[], metavar="TYPE:OPERATION=ERROR|crash|delay:S")
    parser.add_argument("--answers", type=Path, help='JSON file: {"aws_ami": {"id": "ami-1"}}')
    parser.add_argument("--log", action="store_true", help="print every call as JSON to standard error")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    with Replay() as replay:
        replay.faults.update(map(parse_fault, options.fault))
        if options.answers:
            replay.answers.update(json.loads(options.answers.read_text()))
        status = subprocess.run(options.command, env=replay.full_environment(), check=False).returncode
        if options.log:
            for call in replay.world.calls:
                print(_line(call), file=sys.stderr)
    return status


def _line(call: Call) -> str:
    return json.dumps({key: value for key, value in vars(call).items() if value}, default=str)


if __name__ == "__main__":
    sys.exit(main())

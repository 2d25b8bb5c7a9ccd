"""The agent's command line with nothing behind it but one real process, for tests of what is around it.

A file `behaviour` beside this script changes it: `never-ready`, `slow-start`, `fails-to-start` or
`fails-to-stop`.
Its process keeps every descriptor it inherits, as a careless agent would.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

BEHAVIOUR = Path(__file__).with_name("behaviour")


def behaviour() -> str:
    return BEHAVIOUR.read_text().strip() if BEHAVIOUR.exists() else ""


def start_time(pid: int) -> str | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def alive(directory: Path) -> int | None:
    try:
        known = json.loads((directory / "agent.json").read_text())
    except OSError:
        return None
    return known["pid"] if start_time(known["pid"]) == known["start"] else None


def start(options: argparse.Namespace) -> int:
    if behaviour() == "fails-to-start":
        print("no mailbox here", file=sys.stderr)
        return 3
    if alive(options.dir):
        return 0
    options.dir.mkdir(parents=True, exist_ok=True)
    marks = {"HARCHOS_RUN": options.run, "HARCHOS_HUB": options.hub, "HARCHOS_EXPIRES": options.expires}
    process = subprocess.Popen(
        [sys.executable, __file__, "serve", "--dir", str(options.dir)],
        env=os.environ | marks,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        close_fds=False,
    )
    (options.dir / "agent.json").write_text(
        json.dumps({"pid": process.pid, "start": start_time(process.pid)})
    )
    if behaviour() == "slow-start":
        time.sleep(60)
    return 0


def serve(options: argparse.Namespace) -> int:
    if behaviour() != "never-ready":
        (options.dir / "heartbeat").touch()
    while True:
        signal.pause()


def ready(options: argparse.Namespace) -> int:
    until = time.monotonic() + options.timeout
    while not (options.dir / "heartbeat").exists():
        if time.monotonic() > until:
            print("no heartbeat", file=sys.stderr)
            return 1
        time.sleep(0.02)
    return 0


def stop(options: argparse.Namespace) -> int:
    if behaviour() == "fails-to-stop":
        return 4
    pid = alive(options.dir)
    if pid:
        os.kill(pid, signal.SIGTERM)
        while alive(options.dir):
            time.sleep(0.02)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["start", "serve", "ready", "stop"])
    for name in ("--mailbox", "--run", "--hub", "--expires"):
        parser.add_argument(name)
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--grace", type=float)
    options = parser.parse_args()
    return {"start": start, "serve": serve, "ready": ready, "stop": stop}[options.command](options)


if __name__ == "__main__":
    sys.exit(main())

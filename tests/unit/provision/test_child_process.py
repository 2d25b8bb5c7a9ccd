"""A child process: its lines as they come, and an end that always comes."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.provision.child import CancelledError, Limits, run_child


def run(
    script: str,
    tmp_path: Path,
    *,
    on_line=lambda line: None,
    cancel: threading.Event | None = None,
    timeout_s: float = 30,
    grace_s: float = 30,
) -> tuple[int, str]:
    return run_child(
        [sys.executable, "-c", script],
        directory=tmp_path,
        environment=dict(os.environ),
        stdin=subprocess.DEVNULL,
        on_line=on_line,
        limits=Limits(cancel or threading.Event(), timeout_s, grace_s),
    )


def test_lines_status_and_errors_come_back(tmp_path: Path) -> None:
    lines: list[str] = []
    script = (
        "import sys; print('a\\n\\nbé'); print('end', end=''); print('why', file=sys.stderr); sys.exit(3)"
    )
    assert run(script, tmp_path, on_line=lines.append) == (3, "why\n")
    assert lines == ["a", "", "bé", "end"]


POLITE = """
import signal, sys, time
def leave(*_):
    open('interrupted', 'a').write('x')
    sys.exit(0)
signal.signal(signal.SIGINT, leave)
print('up', flush=True)
time.sleep(60)
"""
DEAF = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
print(os.getpid(), child.pid, flush=True)
time.sleep(60)
"""


def test_a_cancelled_child_is_interrupted_once(tmp_path: Path) -> None:
    cancel = threading.Event()
    with pytest.raises(CancelledError):
        run(POLITE, tmp_path, on_line=lambda line: cancel.set(), cancel=cancel)
    assert (tmp_path / "interrupted").read_text() == "x"


def test_a_child_that_ignores_it_is_killed_with_its_children(tmp_path: Path) -> None:
    cancel = threading.Event()
    pids: list[int] = []

    def note(line: str) -> None:
        pids.extend(map(int, line.split()))
        cancel.set()

    with pytest.raises(CancelledError):
        run(DEAF, tmp_path, on_line=note, cancel=cancel, grace_s=0.2)
    assert len(pids) == 2
    for _ in range(500):
        if not any(_is_alive(pid) for pid in pids):
            return
        time.sleep(0.02)
    pytest.fail("a process of the group is still there")


def test_a_child_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(HarchosError, match="did not end within"):
        run(POLITE, tmp_path, timeout_s=0.5)


def test_a_child_does_not_outlive_an_error_of_its_observer(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(POLITE, tmp_path, on_line=_interrupt)
    assert (tmp_path / "interrupted").exists()


def test_nothing_is_started_once_cancelled(tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(CancelledError):
        run("open('started', 'w')", tmp_path, cancel=cancel)
    assert not (tmp_path / "started").exists()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HarchosError, match="/nonexistent/terraform"):
        run_child(
            ["/nonexistent/terraform", "apply"],
            directory=tmp_path,
            environment={},
            stdin=subprocess.DEVNULL,
            on_line=lambda line: None,
            limits=Limits(threading.Event(), 1, 1),
        )


def test_a_descendant_that_keeps_the_output_open_is_not_waited_for(tmp_path: Path) -> None:
    script = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid)"
    lines: list[str] = []
    try:
        assert run(script, tmp_path, on_line=lines.append, timeout_s=20)[0] == 0
    finally:
        os.kill(int(lines[0]), 9)


def test_a_child_whose_parent_is_killed_goes_on_to_its_end(tmp_path: Path) -> None:
    script = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done; echo all > ended"
    parent = (
        "import subprocess, sys, threading; from pathlib import Path;"
        "from harchos_infra.provision.child import Limits, run_child;"
        "run_child(['sh', '-c', sys.argv[1]], directory=Path(sys.argv[2]), environment={},"
        " stdin=subprocess.DEVNULL, on_line=lambda line: print(line, flush=True),"
        " limits=Limits(threading.Event(), 30, 30))"
    )
    killed = subprocess.Popen([sys.executable, "-c", parent, script, str(tmp_path)], stdout=subprocess.PIPE)
    assert killed.stdout is not None
    assert killed.stdout.readline() == b"1\n"
    killed.kill()
    killed.communicate()
    until = time.monotonic() + 20
    while not (tmp_path / "ended").exists():
        assert time.monotonic() < until, "it did not get to its end"
        time.sleep(0.05)


def _interrupt(line: str) -> None:
    raise KeyboardInterrupt


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False

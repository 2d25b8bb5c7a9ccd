"""Network namespaces that podman forgot when it was killed: those, and no others, are removed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harchos_infra.clouds import namespaces
from harchos_infra.clouds.container import remove_container
from harchos_infra.clouds.namespaces import forget_namespaces, forgotten_namespaces

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root makes and removes them")


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Make real namespaces as podman does, each a mount; no engine runs that could make one."""
    monkeypatch.setattr(namespaces, "DIRECTORY", tmp_path)
    monkeypatch.setattr(namespaces, "_MAKERS", ("harchos-none",))
    monkeypatch.setattr(namespaces, "_podman", lambda *words: "")
    made = []

    def make(name: str) -> Path:
        path = tmp_path / name
        path.touch()
        subprocess.run(["unshare", f"--net={path}", "true"], check=True)
        made.append(path)
        return path

    yield make
    for path in made:
        subprocess.run(["umount", "--lazy", path], capture_output=True, check=False)


def test_one_that_nobody_can_use_any_more_goes(make: Callable[[str], Path]) -> None:
    path = make("netns-0")
    assert str(path) in Path("/proc/self/mounts").read_text()
    assert forget_namespaces() == [path]
    assert not path.exists()
    assert forget_namespaces() == []


def test_one_of_another_name_stays(make: Callable[[str], Path]) -> None:
    make("of-the-user")
    assert forgotten_namespaces() == []


def test_one_that_a_process_is_in_stays(make: Callable[[str], Path]) -> None:
    path = make("netns-0")
    inside = subprocess.Popen(["nsenter", f"--net={path}", "sleep", "60"])
    try:
        while Path(f"/proc/{inside.pid}/ns/net").stat().st_ino != path.stat().st_ino:
            assert inside.poll() is None
        assert forgotten_namespaces() == []
    finally:
        inside.kill()
        inside.wait()
    assert forgotten_namespaces() == [path]


def test_one_that_a_container_has_stays_though_nothing_runs_in_it(
    make: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = make("netns-0"), make("netns-1")
    answers = {"ps": "c0ffee\n", "container": f'[{{"NetworkSettings": {{"SandboxKey": "{path}"}}}}]'}
    monkeypatch.setattr(namespaces, "_podman", lambda *words: answers[words[0]])
    assert forgotten_namespaces() == [other]


def test_what_podman_does_not_tell_of_stays(
    make: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    make("netns-0")

    def refuses(*words: str) -> str:
        raise subprocess.CalledProcessError(125, words)

    monkeypatch.setattr(namespaces, "_podman", refuses)
    assert forgotten_namespaces() == []


def test_a_new_one_stays_while_a_podman_runs_that_may_be_making_it(
    make: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make("netns-0")
    shutil.copy(shutil.which("sleep") or "", tmp_path / "harchos-none")
    engine = subprocess.Popen([tmp_path / "harchos-none", "60"])
    try:
        while Path(f"/proc/{engine.pid}/comm").read_text() != "harchos-none\n":
            assert engine.poll() is None
        assert forgotten_namespaces() == []
        monkeypatch.setattr(namespaces, "_YOUNG_S", 0.0)
        assert forgotten_namespaces() == [path], "no podman takes that long"
    finally:
        engine.kill()
        engine.wait()


@pytest.mark.container
def test_what_a_podman_leaves_that_is_killed_while_it_makes_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netavark = Path("/usr/lib/podman/netavark")
    if shutil.which("podman") is None or not netavark.exists():
        pytest.skip("no podman with netavark")
    helper = tmp_path / "netavark"
    helper.write_text(f'#!/bin/sh\n{netavark} "$@"\nkill -9 $PPID\n')
    helper.chmod(0o755)
    conf = tmp_path / "containers.conf"
    conf.write_text(
        f'[network]\nnetwork_backend="netavark"\n[engine]\nhelper_binaries_dir=["{tmp_path}"]\n'
        'cgroup_manager="cgroupfs"\nevents_logger="file"\n'
    )
    name = f"netns-test-{os.getpid()}"
    (tmp_path / "empty").mkdir()
    before = set(namespaces.DIRECTORY.glob(namespaces.PATTERN))
    run = ["podman", "run", "--name", name, "--network", "podman", "--rootfs", tmp_path / "empty", "/none"]
    killed = subprocess.run(run, env=os.environ | {"CONTAINERS_CONF": str(conf)}, capture_output=True)
    remove_container("podman", name)
    assert killed.returncode == -9, killed.stderr
    left = set(namespaces.DIRECTORY.glob(namespaces.PATTERN)) - before
    monkeypatch.setattr(namespaces, "_YOUNG_S", -60.0)
    gone = set(forget_namespaces())
    assert left & gone, "the container is gone, its namespace was not"
    assert not any(path.exists() for path in gone)

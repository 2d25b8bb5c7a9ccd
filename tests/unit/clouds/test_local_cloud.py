"""This machine as a cloud: what carries a hub's marks is found and removed, and nothing else."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harchos_infra.clouds.cgroup import MOUNT, HubCgroup, hub_cgroups
from harchos_infra.clouds.cloud import Resource, cloud
from harchos_infra.clouds.container import remove_container
from harchos_infra.clouds.local import LocalCloud
from harchos_infra.clouds.process import end_process, start_time
from harchos_infra.errors import HarchosError

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


@pytest.fixture
def run() -> str:
    return f"digits-{secrets.token_hex(3)}"


@pytest.fixture
def spawn() -> Iterator[object]:
    started: list[subprocess.Popen[bytes]] = []

    def spawn(command: list[str], **marks: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, env=os.environ | marks, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout
        process.stdout.readline()
        return process

    yield spawn
    for process in started:
        process.kill()
        process.communicate()


def marks(run: str) -> dict[str, str]:
    return {"HARCHOS_RUN": run, "HARCHOS_HUB": f"{run}-h1", "HARCHOS_EXPIRES": "2026-11-24T06:00:00Z"}


def test_a_hubs_nodes_are_found_together_and_each_by_itself(spawn, run) -> None:
    nodes = [spawn(SLEEP, **{**marks(run), "HARCHOS_HUB": f"{run}-h1{end}"}) for end in ("", "-n1", "-n12")]
    spawn(SLEEP, **{**marks(run), "HARCHOS_HUB": f"{run}-h11"})
    ids = [f"{process.pid}:{start_time(process.pid)}" for process in nodes]

    def found(hub: str) -> list[str]:
        listed = cloud("local").list(hub=f"{run}-{hub}")
        assert {resource.hub for resource in listed} == {f"{run}-h1"}
        return [resource.id for resource in listed]

    assert found("h1") == ids
    assert [found("h1-n0"), found("h1-n1"), found("h1-n12")] == [[each] for each in ids]


def test_a_process_is_found_by_the_marks_in_its_environment(spawn, run) -> None:
    process = spawn(SLEEP, **marks(run))
    (found,) = cloud("local").list(hub=f"{run}-h1")
    assert (found.provider, found.kind, found.run, found.hub) == ("local", "process", run, f"{run}-h1")
    assert found.id == f"{process.pid}:{start_time(process.pid)}"
    assert found.expires == datetime(2026, 11, 24, 6, tzinfo=UTC)
    assert found.detail == " ".join(SLEEP)[:80]
    assert cloud("local").list(run=run) == [found]
    assert cloud("local").list(run="another") == []


def test_an_expiry_that_is_no_time_is_unknown(spawn, run) -> None:
    spawn(SLEEP, **marks(run) | {"HARCHOS_EXPIRES": "soon"})
    assert [found.expires for found in LocalCloud().list(run=run)] == [None]


def test_a_deleted_process_is_gone_even_if_it_ignores_sigterm(spawn, run, monkeypatch) -> None:
    monkeypatch.setattr("harchos_infra.clouds.local._GRACE_S", 0.2)
    process = spawn(DEAF, **marks(run))
    (found,) = LocalCloud().list(hub=f"{run}-h1")
    LocalCloud().delete(found)
    assert LocalCloud().list(hub=f"{run}-h1") == []
    assert process.wait(5) == -signal.SIGKILL
    LocalCloud().delete(found)


def test_a_zombie_is_not_listed(spawn, run) -> None:
    process = spawn(SLEEP, **marks(run))
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert LocalCloud().list(run=run) == []


def test_a_process_that_took_over_the_pid_is_not_touched(spawn) -> None:
    process = spawn(SLEEP)
    born = start_time(process.pid)
    assert born is not None
    end_process(process.pid, born - 1, grace_s=0.1)
    assert process.poll() is None


def test_a_shell_that_exported_the_mark_does_not_end_itself(run) -> None:
    script = (
        "from harchos_infra.clouds.local import LocalCloud\n"
        f"cloud = LocalCloud()\n[cloud.delete(r) for r in cloud.list(run={run!r})]\nprint('alive')"
    )
    shell = subprocess.run(
        ["sh", "-c", '"$0" -c "$1"; echo shell too', sys.executable, script],
        env=os.environ | marks(run),
        capture_output=True,
        text=True,
    )
    assert shell.stdout.split("\n")[:2] == ["alive", "shell too"], shell.stderr


def test_an_unknown_kind_of_resource_is_refused(run) -> None:
    with pytest.raises(HarchosError):
        LocalCloud().delete(Resource("local", "instance", "i-1", run, f"{run}-h1", None, "", None))


def test_a_cloud_that_nobody_knows_is_said_so() -> None:
    with pytest.raises(HarchosError, match="unknown cloud 'ovh'"):
        cloud("ovh")


def test_hubs_are_found_in_every_hierarchy_of_cgroup_v1(tmp_path: Path) -> None:
    for hierarchy in ("cpu", "memory", "unified"):
        (tmp_path / hierarchy / "harchos" / "a-h1").mkdir(parents=True)
    found = hub_cgroups(tmp_path)
    assert [(c.hub, c.path.parent.parent.name) for c in found] == [
        ("a-h1", "cpu"),
        ("a-h1", "memory"),
        ("a-h1", "unified"),
    ]


def test_hubs_are_found_at_the_root_of_cgroup_v2_only(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    (tmp_path / "harchos" / "a-h1").mkdir(parents=True)
    (tmp_path / "user.slice" / "harchos" / "not-ours").mkdir(parents=True)
    assert [c.hub for c in hub_cgroups(tmp_path)] == ["a-h1"]


def test_processes_of_a_cgroup_below_the_hubs_are_members(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "cgroup.procs").write_text("11\n")
    (tmp_path / "job" / "cgroup.procs").write_text("12\n13\n")
    assert sorted(HubCgroup("a-h1", tmp_path).pids()) == [11, 12, 13]


def test_a_frozen_cgroup_is_thawed_with_those_below(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "freezer.state").write_text("FROZEN")
    (tmp_path / "job" / "cgroup.freeze").write_text("1")
    HubCgroup("a-h1", tmp_path).thaw()
    assert (tmp_path / "freezer.state").read_text() == "THAWED"
    assert (tmp_path / "job" / "cgroup.freeze").read_text() == "0"


def test_a_cgroup_is_removed_with_those_below_and_one_that_is_gone_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a-h1" / "job" / "step").mkdir(parents=True)
    hub = HubCgroup("a-h1", tmp_path / "a-h1")
    hub.remove()
    hub.remove()
    assert not (tmp_path / "a-h1").exists()


def test_a_cgroup_that_stays_in_use_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a-h1").mkdir()
    (tmp_path / "a-h1" / "cgroup.procs").write_text("11\n")
    with pytest.raises(HarchosError, match="cannot be removed"):
        HubCgroup("a-h1", tmp_path / "a-h1").remove(wait_s=0)


def writable_hierarchies() -> list[Path]:
    unified = (MOUNT / "cgroup.controllers").exists()
    candidates = (
        [MOUNT] if unified else [p for p in MOUNT.glob("*") if p.name in ("freezer", "pids", "unified")]
    )
    return [path for path in candidates if os.access(path, os.W_OK) and not _read_only(path)]


def _read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


@pytest.mark.skipif(not writable_hierarchies(), reason="no cgroup hierarchy can be written here")
def test_an_unmarked_and_frozen_process_in_the_hubs_cgroup_is_found_and_removed(spawn, run) -> None:
    process = spawn(SLEEP)
    groups = [path / "harchos" / f"{run}-h1" for path in writable_hierarchies()]
    try:
        for group in groups:
            group.mkdir(parents=True)
            (group / "cgroup.procs").write_text(str(process.pid))
        for group in groups:
            for file, frozen in (("freezer.state", "FROZEN"), ("cgroup.freeze", "1")):
                if (group / file).exists():
                    (group / file).write_text(frozen)
        found = LocalCloud().list(hub=f"{run}-h1")
        assert [r.kind for r in found] == ["process", *["cgroup"] * len(groups)]
        assert {r.run for r in found} == {run}
        for resource in found:
            LocalCloud().delete(resource)
        assert LocalCloud().list(hub=f"{run}-h1") == []
    finally:
        process.kill()
        for group in groups:
            with suppress(FileNotFoundError):
                HubCgroup(run, group).thaw()
                HubCgroup(run, group).remove()


def engines_that_answer() -> list[str]:
    return [engine for engine in ("podman", "docker") if _answers(engine)]


def _answers(engine: str) -> bool:
    try:
        return subprocess.run([engine, "info"], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@pytest.mark.container
def test_a_container_is_found_by_its_labels_and_removed(run, tmp_path: Path) -> None:
    engines = engines_that_answer()
    if not engines:
        pytest.skip("no container engine answers")
    for engine in engines:
        image = f"localhost/harchos-empty:{run}"
        (tmp_path / "empty").mkdir(exist_ok=True)
        subprocess.run(["tar", "-C", tmp_path / "empty", "-cf", tmp_path / "empty.tar", "."], check=True)
        subprocess.run([engine, "import", tmp_path / "empty.tar", image], check=True, capture_output=True)
        labels = {"harchos:run": run, "harchos:hub": f"{run}-h1", "harchos:expires": "2026-11-24T06:00:00Z"}
        options = [f"--label={name}={value}" for name, value in labels.items()]
        subprocess.run(
            [engine, "create", "--network=none", *options, image, "/none"], check=True, capture_output=True
        )
        try:
            (found,) = LocalCloud().list(hub=f"{run}-h1")
            assert (found.kind, found.run, found.id.partition(":")[0]) == ("container", run, engine)
            assert found.expires == datetime(2026, 11, 24, 6, tzinfo=UTC)
            LocalCloud().delete(found)
            LocalCloud().delete(found)
            assert LocalCloud().list(hub=f"{run}-h1") == []
        finally:
            subprocess.run([engine, "rmi", "--force", image], capture_output=True)


def test_an_engine_that_refuses_does_not_hide_the_processes(spawn, run, tmp_path, monkeypatch) -> None:
    for engine in ("podman", "docker"):
        (tmp_path / engine).write_text("#!/bin/sh\necho 'cannot connect to the daemon' >&2\nexit 125\n")
        (tmp_path / engine).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    spawn(SLEEP, **marks(run))
    assert [r.kind for r in LocalCloud().list(run=run)] == ["process"]


def test_an_engine_that_hangs_is_no_proof_that_nothing_is_left(run, tmp_path, monkeypatch) -> None:
    (tmp_path / "podman").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("harchos_infra.clouds.container._ANSWER_S", 0.2)
    with pytest.raises(HarchosError, match="podman ps did not answer"):
        LocalCloud().list(run=run)


def test_a_listing_whose_client_was_killed_is_made_again(run, tmp_path, monkeypatch) -> None:
    shown = f'[{{"Id": "c0ffee", "Name": "x", "Config": {{"Labels": {{"harchos:hub": "{run}-h1"}}}}}}]'
    (tmp_path / "podman").write_text(
        f"#!/bin/sh\necho x >> {tmp_path}/calls\n[ $(wc -l < {tmp_path}/calls) -gt 1 ] || kill -9 $$\n"
        f"[ $1 = ps ] && echo c0ffee || echo '{shown}'\n"
    )
    (tmp_path / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert [r.id for r in LocalCloud().list(run=run) if r.kind == "container"] == ["podman:c0ffee"]


def test_podman_is_told_not_to_wait_for_a_container_that_ignores_sigterm(tmp_path, monkeypatch) -> None:
    said = tmp_path / "said"
    (tmp_path / "podman").write_text(f'#!/bin/sh\necho "$@" > {said}\n')
    (tmp_path / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    remove_container("podman", "c0ffee")
    assert said.read_text() == "rm --force --time 0 --volumes c0ffee\n"

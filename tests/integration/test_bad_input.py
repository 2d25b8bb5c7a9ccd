"""What a user gets for input that is wrong: the place, the reason and a way out, never a traceback."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from support.command import Document, Harchos


def test_plan_says_once_on_standard_error_what_is_written_in_vain(
    harchos: Harchos, document: Document, tmp_path: Path
) -> None:
    path = document("  runtime: python:3.11\n")
    code, out, err = harchos("plan", path, "--format", "json", "--out", str(tmp_path / "plan.json"))
    assert code == 0
    assert json.loads(out)["decision"] != "reject"
    assert err.count(f"no effect: {path}:8: spec.runtime: ") == 1


def test_a_service_on_several_nodes_is_not_applied(
    harchos: Harchos, document: Document, tmp_path: Path
) -> None:
    path = document("  ttl: 30h\n  replicas: 2\n  placement: {providers: [local]}\n")
    Path(path).write_text(Path(path).read_text().replace("type: batch", "type: dev"))
    assert harchos("config", "set", "local.zone", "DE")[0] == 0
    code, _, err = harchos("apply", path, "--yes")
    assert (code, "2 nodes" in err, "hint: " in err) == (1, True, True), err
    assert not (tmp_path / "home" / "mailbox").exists()


@pytest.mark.parametrize("now", ["9999-12-31T23:59Z", "0001-01-01T00:00Z", "1970-01-01T00:00+09:00"])
def test_a_now_outside_this_century_is_refused(harchos: Harchos, document: Document, now: str) -> None:
    code, _, err = harchos("plan", document(""), "--now", now)
    assert (code, err) == (1, f"error: --now: {now} is not within the years 2000 to 2099\n")


def test_out_writes_into_a_pipe_or_device_and_does_not_replace_it(
    harchos: Harchos, document: Document, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 2**20)
    code, _, _ = harchos("plan", document(""), "--out", str(pipe))
    read = os.read(reader, 2**20)
    os.close(reader)
    assert (code, json.loads(read)["schema"]) == (0, "harchos.plan/1")
    assert pipe.is_fifo()


def test_out_follows_a_link(harchos: Harchos, document: Document, tmp_path: Path) -> None:
    link = tmp_path / "latest.json"
    link.symlink_to(tmp_path / "plan.json")
    assert harchos("plan", document(""), "--out", str(link))[0] == 0
    assert link.is_symlink()
    assert json.loads((tmp_path / "plan.json").read_text())["schema"] == "harchos.plan/1"


@pytest.mark.parametrize(("zone", "says"), [("de", "DE"), ("Atlantis", "--signal replay:DIR")])
def test_a_zone_of_this_machine_without_data_is_warned_of(harchos: Harchos, zone: str, says: str) -> None:
    code, _, err = harchos("config", "set", "local.zone", zone)
    assert (code, repr(zone) in err, says in err) == (0, True, True), err


def test_a_zone_of_this_machine_with_data_is_set_in_silence(harchos: Harchos) -> None:
    assert harchos("config", "set", "local.zone", "DE") == (0, "", "")

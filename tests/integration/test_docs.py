"""Every command in README and docs is run, in page order, as a reader would type it.

A ```console block holds commands after `$ ` and what they print. `console exit=3` is how the last ends;
`console not-run: WHY` is for what cannot run in a test (a clone, an account), with its reason.
A block of any other kind with `file=NAME` is that file, as far down the page as its reader has come.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?P<kind>\w*)(?P<how>[^\n]*)\n(?P<body>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Commands:
    commands: tuple[str, ...]
    code: int


@dataclass(frozen=True)
class File:
    name: str
    content: str


def blocks(page: Path) -> list[Commands | File]:
    found: list[Commands | File] = []
    for match in BLOCK.finditer(page.read_text()):
        how = match["how"].strip()
        if how.startswith("file="):
            found.append(File(how.removeprefix("file="), match["body"]))
        elif match["kind"] == "console" and not how.startswith("not-run:"):
            joined = match["body"].replace("\\\n", " ")
            commands = tuple(line[2:].strip() for line in joined.splitlines() if line.startswith("$ "))
            found.append(Commands(commands, int(how.removeprefix("exit=") or 0)))
    return found


def test_no_harchos_command_hides_in_another_kind_of_block() -> None:
    hidden = [
        f"{page.name}: {line}"
        for page in PAGES
        for block in BLOCK.finditer(page.read_text())
        for line in block["body"].splitlines()
        if block["kind"] != "console" and re.match(r"(\$ )?harchos ", line)
    ]
    assert hidden == []


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.stem)
def test_the_commands_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    shutil.copytree(ROOT / "configs", work / "configs")

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=work,
            env={
                **os.environ,
                "HARCHOS_HOME": str(tmp_path / "home"),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "NO_COLOR": "1",
            },
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )

    try:
        for block in blocks(page):
            if isinstance(block, File):
                (work / block.name).write_text(block.content)
                continue
            for index, command in enumerate(block.commands):
                done = run(command)
                expected = block.code if index == len(block.commands) - 1 else 0
                assert done.returncode == expected, f"$ {command}\n{done.stdout}{done.stderr}"
    finally:
        left = json.loads(run("harchos status --format json").stdout)
        for row in left["runs"]:
            run(f"harchos destroy {row['run']} --yes")
    assert left["hubs"] == [], "the page left a hub behind"

"""An example of a Terraform module in a folder of its own, and Terraform in it, against replayed clouds."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harchos_infra.share import share_directory
from support.schema_replay import Replay
from support.schema_replay.schemas import load
from support.schema_replay.world import Call


@dataclass(frozen=True)
class Workspace:
    """A folder of the modules, and Terraform in one of them."""

    replay: Replay
    folder: Path
    variables: dict[str, str]

    @classmethod
    def of(cls, replay: Replay, folder: Path, module: str, part: str, variables: dict[str, str]) -> Workspace:
        """Copy the modules and initialise one part of one. Links are followed, as in a wheel."""
        shutil.copytree(share_directory("terraform"), folder / "terraform")
        made = cls(replay, folder / "terraform" / "modules" / module / part, variables)
        made.succeeds("init")
        return made

    def terraform(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command; one that takes variables gets them."""
        given = [f"-var={name}={value}" for name, value in self.variables.items()]
        takes_variables = command in ("plan", "apply", "destroy") and not any(
            one.endswith(".bin") and not one.startswith("-") for one in arguments
        )
        return self.replay.run(
            ["terraform", command, "-no-color", *(given if takes_variables else []), *arguments],
            cwd=self.folder,
        )

    def succeeds(self, command: str, *arguments: str) -> str:
        """Run a command that must succeed; return its output."""
        done = self.terraform(command, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@dataclass(frozen=True)
class Life:
    """What an example asked of its cloud from its first apply to the end of its destroy."""

    created: list[Call]
    deleted: list[Call]

    @classmethod
    def lived_in(cls, workspace: Workspace) -> Life:
        """Apply and destroy."""
        workspace.succeeds("apply", "-auto-approve")
        workspace.succeeds("destroy", "-auto-approve")
        world = workspace.replay.world
        assert world.existing == []
        return cls(world.done("create"), world.done("delete"))

    def all(self, kind: str) -> list[Call]:
        """Return the creations of one type."""
        return [call for call in self.created if call.type == kind]

    def one(self, kind: str) -> Call:
        """Return the only creation of a type."""
        (call,) = self.all(kind)
        return call


def has(provider: str, kind: str, attribute: str) -> bool:
    """Return whether a type of resource has an attribute, by the provider's own schema."""
    return attribute in load(provider).resources[kind]["block"]["attributes"]


def first(kinds: list[str], kind: str) -> int:
    """Return where a type comes first."""
    return kinds.index(kind)


def last(kinds: list[str], kind: str) -> int:
    """Return where a type comes last."""
    return len(kinds) - 1 - kinds[::-1].index(kind)

"""`harchos init`: begin with a ready workload."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harchos_infra.cli.output import print_table
from harchos_infra.errors import HarchosError

if TYPE_CHECKING:
    from collections.abc import Iterator


def init(
    template: str = typer.Argument(
        None, metavar="TEMPLATE", help="Name of a template, such as digits or training/digits."
    ),
    directory: Path = typer.Argument(Path(), metavar="DIR", help="Where the files go; here by default."),
    list_: bool = typer.Option(False, "--list", help="List the templates and stop."),
    force: bool = typer.Option(False, "--force", help="Overwrite files that are already there."),
) -> None:
    """Copy a ready workload and the files it needs, to start from."""
    if list_ or template is None:
        print_table(["template", "what it does"], [[t.name, t.description()] for t in _templates()])
        return
    chosen = _find(template)
    targets = {directory / file.relative_to(chosen.file.parent): file for file in chosen.files()}
    taken = [str(target) for target, source in targets.items() if _differs(target, source)]
    if taken and not force:
        raise HarchosError(
            f"already there: {', '.join(taken)}", hint="name another folder, or overwrite with --force"
        )
    try:
        for target, source in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            typer.echo(f"wrote {target}")
    except OSError as error:
        raise HarchosError(f"cannot write {error.filename}: {error.strerror}") from error
    typer.echo(f"next: harchos plan {directory / chosen.file.name}")


@dataclass(frozen=True, slots=True)
class _Template:
    file: Path

    @property
    def name(self) -> str:
        return f"{self.file.parent.name}/{self.file.stem}"

    def description(self) -> str:
        """Return the first comment line of the file that is not addressed to an editor."""
        lines = self.file.read_text(encoding="utf-8").splitlines()
        comments = (line.lstrip("# ").strip() for line in lines if line.startswith("#"))
        return next((c for c in comments if c and not c.startswith("yaml-language-server")), "")

    def files(self) -> Iterator[Path]:
        """Yield the document and every file of the folder that it names as its `workdir`."""
        from harchos_infra.workload.loader import load

        yield self.file
        workdir = load(self.file).workload.spec.workdir
        if workdir is not None:
            inside = sorted((self.file.parent / workdir).rglob("*"))
            yield from (file for file in inside if file.is_file() and "__pycache__" not in file.parts)


def _templates() -> list[_Template]:
    from harchos_infra.share import ready_workloads

    return [_Template(file) for file in ready_workloads()]


def _find(wanted: str) -> _Template:
    from difflib import get_close_matches

    templates = _templates()
    found = [t for t in templates if wanted in (t.name, t.file.stem)]
    if len(found) == 1:
        return found[0]
    if found:
        raise HarchosError(
            f"more than one template {wanted!r}", hint="write " + " or ".join(t.name for t in found)
        )
    names = {t.file.stem: t.name for t in templates} | {t.name: t.name for t in templates}
    near = get_close_matches(wanted, names, n=1)
    raise HarchosError(
        f"no template {wanted!r}",
        hint=f"did you mean {names[near[0]]!r}?" if near else "`harchos init --list` shows them",
    )


def _differs(target: Path, source: Path) -> bool:
    if target.is_file() and not target.is_symlink():
        return target.read_bytes() != source.read_bytes()
    return target.exists() or target.is_symlink()

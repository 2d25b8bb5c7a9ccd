"""Which policy holds: the one named, else that of the environment, else the nearest one above."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from harchos_infra.errors import HarchosError

FILE_NAME = "harchos.policy.yaml"
VARIABLE = "HARCHOS_POLICY"


def find_policy(
    named: Path | None, *, environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> Path | None:
    """Return the policy file: `named`, else `$HARCHOS_POLICY`, else `harchos.policy.yaml` of `directory` or
    the nearest of its parents; None where there is none.

    Raises HarchosError where one that is named is not there: a gate that cannot be found is not open.
    """
    environment = os.environ if environ is None else environ
    said = environment.get(VARIABLE)
    for path, by in ((named, "--policy"), (Path(said) if said else None, f"${VARIABLE}")):
        if path is not None:
            if not path.exists():
                raise HarchosError(f"{path}: no such policy, named by {by}", hint="name a file that is there")
            return path
    here = (directory or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / FILE_NAME).is_file():
            return Path(os.path.relpath(folder / FILE_NAME, here))
    return None

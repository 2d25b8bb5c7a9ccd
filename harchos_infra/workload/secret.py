"""Secrets of a workload: which values must stay hidden, and where they are read from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harchos_infra.errors import HarchosError

if TYPE_CHECKING:
    from harchos_infra.workload.document import Secret
    from harchos_infra.workload.loader import LoadedWorkload

_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|PRIVATE|CREDENTIAL", re.IGNORECASE
)


def is_secret_name(name: str) -> bool:
    """Return whether the value of an environment variable of this name must be treated as a secret."""
    return _SECRET_NAME.search(name) is not None


def secret_values(loaded: LoadedWorkload, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the value of each of `secrets[]`, from the environment or from a file.

    Raises `HarchosError` naming every secret that cannot be read; no value is ever in the message.
    """
    environment = os.environ if environ is None else environ
    values: dict[str, str] = {}
    missing: list[str] = []
    for secret in loaded.workload.spec.secrets:
        try:
            values[secret.name] = _read(secret, loaded.path.parent, environment)
        except _MissingError as error:
            missing.append(f"{secret.name}: {error}")
    if missing:
        raise HarchosError(
            f"{loaded.path}: secrets that cannot be read: " + "; ".join(missing),
            hint="set the variable in this shell, or correct `spec.secrets`",
        )
    return values


def hidden_values(loaded: LoadedWorkload, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return every value that must stay hidden: `secrets[]`, and those of `env` whose names say so."""
    written = {e.name: e.value for e in loaded.workload.spec.env if is_secret_name(e.name)}
    return written | secret_values(loaded, environ)


class _MissingError(Exception):
    pass


def _read(secret: Secret, folder: Path, environ: Mapping[str, str]) -> str:
    if secret.file is None:
        name = secret.env or secret.name
        if not environ.get(name):
            raise _MissingError(f"environment variable {name} is not set")
        return environ[name]
    path = folder / Path(secret.file).expanduser()
    try:
        value = path.read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise _MissingError(f"file {path} is not UTF-8 text") from None
    except OSError as error:
        raise _MissingError(f"file {path}: {error.strerror}") from None
    if not value:
        raise _MissingError(f"file {path} is empty")
    return value

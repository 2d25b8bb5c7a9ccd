"""The Terraform root of a hub: a `main.tf.json` that only instantiates a module, which lies beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harchos_infra.errors import HarchosError
from harchos_infra.provision.hub_spec import HubSpec
from harchos_infra.share import share_directory

REQUIRED_TERRAFORM = (1, 5, 0)
_OUTPUTS = ("hub", "directory", "mailbox")


def root_module(spec: HubSpec) -> dict[str, Any]:
    """Return the root module as Terraform's JSON syntax.

    Raises HarchosError for a provider that has no module yet.
    """
    if spec.cloud != "local":
        raise HarchosError(
            f"hubs on {spec.provider} come with a later release", hint="rehearse with --rehearse"
        )
    return {
        "//": {"writtenBy": "harchos", "tags": spec.tags},
        "terraform": {
            "required_version": ">= " + ".".join(map(str, REQUIRED_TERRAFORM)),
            "backend": {"local": {}},
        },
        "module": {"hub": {"source": "./modules/local-hub", **_local_hub(spec)}},
        "output": {name: {"value": f"${{module.hub.{name}}}"} for name in _OUTPUTS},
    }


def write_root(spec: HubSpec, directory: Path) -> None:
    """Write the root and a copy of its module into `directory`, replacing what differs.

    The copy lets a hub be destroyed by the module that created it, whatever has been upgraded since.
    """
    source = share_directory("terraform") / "modules" / "local-hub"
    for file in (*sorted(source.glob("*.tf")), source / "README.md"):
        _write(directory / "modules" / "local-hub" / file.name, file.read_text(encoding="utf-8"))
    _write(directory / "main.tf.json", json.dumps(root_module(spec), indent=2) + "\n")


def _write(file: Path, text: str) -> None:
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + ".new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)


def _local_hub(spec: HubSpec) -> dict[str, str | float]:
    return {
        "run": spec.run,
        "hub": spec.hub,
        "expires": spec.expires_utc,
        "mailbox": _literal(spec.mailbox_url),
        "directory": _literal(str(spec.machine)),
        "python": _literal(str(spec.python)),
        "agent": _literal(str(spec.agent)),
        "ready_timeout_s": spec.ready_timeout_s,
        "stop_grace_s": spec.stop_grace_s,
    }


def _literal(text: str) -> str:
    """Escape what Terraform's JSON syntax would read as a template."""
    return text.replace("${", "$${").replace("%{", "%%{")

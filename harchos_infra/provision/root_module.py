"""The Terraform root of a hub: a `main.tf.json` that only instantiates a module, which lies beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harchos_infra.errors import HarchosError
from harchos_infra.provision import rented_hub
from harchos_infra.provision.backend import LOCAL, Backend
from harchos_infra.provision.hub_spec import HubSpec
from harchos_infra.share import share_directory

REQUIRED_TERRAFORM = (1, 5, 0)
ROOT = "main.tf.json"
_LOCAL_OUTPUTS = ("hub", "directory", "mailbox")
_LEFT_OUT = ("examples", "tests")


def root_module(spec: HubSpec, backend: Backend = LOCAL) -> dict[str, Any]:
    """Return the root module as Terraform's JSON syntax.

    Raises HarchosError for a provider that has no module, or whose account is not known.
    """
    rented = spec.cloud in rented_hub.CLOUDS
    if not rented and spec.cloud != "local":
        raise HarchosError(f"there is no module for hubs on {spec.cloud}", hint="rehearse with --rehearse")
    inputs = rented_hub.inputs(spec) if rented else _local_hub(spec)
    outputs = rented_hub.OUTPUTS if rented else _LOCAL_OUTPUTS
    terraform: dict[str, Any] = {
        "required_version": ">= " + ".".join(map(str, backend.required_terraform)),
        "backend": {backend.kind: backend.block},
    }
    if rented:
        terraform["required_providers"] = rented_hub.required_providers(spec.cloud)
    return {
        "//": {"writtenBy": "harchos", "tags": spec.tags},
        "terraform": terraform,
        **({"provider": _literal(rented_hub.provider_block(spec))} if rented else {}),
        "module": {"hub": {"source": f"./modules/{spec.cloud}-hub", **_literal(inputs)}},
        "output": {name: {"value": f"${{module.hub.{name}}}"} for name in outputs},
    }


def write_root(spec: HubSpec, directory: Path, backend: Backend = LOCAL) -> None:
    """Write the root and a copy of its modules into `directory`, replacing what differs.

    The copy lets a hub be destroyed by the module that created it, whatever has been upgraded since.
    """
    root = root_module(spec, backend)
    for name in _modules(spec.cloud):
        source = share_directory("terraform") / "modules" / name
        for file in _files(source):
            target = directory / "modules" / name / file.relative_to(source)
            _write(target, file.read_text(encoding="utf-8"))
    _write(directory / ROOT, json.dumps(root, indent=2) + "\n")


def written_backend(directory: Path) -> Backend | None:
    """Return the backend of the root in `directory`; None where there is no root that can be read."""
    try:
        ((kind, block),) = json.loads((directory / ROOT).read_text())["terraform"]["backend"].items()
        return Backend(kind, dict(block))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _modules(cloud: str) -> tuple[str, ...]:
    return (f"{cloud}-hub", "hub-boot") if cloud in rented_hub.CLOUDS else (f"{cloud}-hub",)


def _files(module: Path) -> Iterator[Path]:
    """Yield what a module consists of, without its examples, tests and working files."""
    for path in sorted(module.iterdir()):
        if path.name in _LEFT_OUT or path.name.startswith("."):
            continue
        if path.is_dir():
            yield from (file for file in sorted(path.rglob("*")) if file.is_file())
        else:
            yield path


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
        "mailbox": spec.mailbox_url,
        "directory": str(spec.machine),
        "python": str(spec.python),
        "agent": str(spec.agent),
        "nodes": spec.nodes,
        "ready_timeout_s": spec.ready_timeout_s,
        "stop_grace_s": spec.stop_grace_s,
    }


def _literal(value: Any) -> Any:
    """Escape, in every text of a value, what Terraform's JSON syntax would read as a template."""
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, dict):
        return {key: _literal(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_literal(each) for each in value]
    return value

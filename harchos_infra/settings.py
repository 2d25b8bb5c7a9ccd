"""Settings of this user on this machine: `$HARCHOS_HOME/config.yaml`, by default under `~/.harchos`."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from harchos_infra.errors import HarchosError
from harchos_infra.private_file import write_private


def home() -> Path:
    """Return the directory that holds settings, ledger, mailbox and Terraform workspaces."""
    return Path(os.environ.get("HARCHOS_HOME") or Path.home() / ".harchos").expanduser().absolute()


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, with its dotted key (`local.zone`) as `local_zone`. None: not set."""

    local_zone: str | None = None
    """Grid zone of this machine (`DE`); asked for, never assumed."""
    local_pue: float = 1.0
    """Power usage effectiveness of the room this machine is in; 1.0 outside a data centre."""
    local_price_usd_hour: float = 0.0
    """What an hour of this machine costs; 0 for one's own."""
    local_engine: str = "auto"
    """Container engine of the local hub: auto, podman, docker or none (a supervised process)."""
    local_image: str = "workload"
    """`workload` runs the workload's image; `host` runs this machine's own Python in a container."""
    terraform_binary: str | None = None
    """Path of `terraform` or `tofu`; found on PATH if not set."""
    terraform_backend: str | None = None
    """Where Terraform keeps the state of hubs on clouds; beside each hub on this machine if not set."""
    aws_mailbox: str | None = None
    """Root of the mailboxes of hubs on a cloud: `s3://BUCKET/PREFIX`."""
    gcp_mailbox: str | None = None
    """`gs://BUCKET/PREFIX`."""
    gcp_project: str | None = None
    """Project in which hubs are made; that of the credentials if not set."""
    azure_mailbox: str | None = None
    """`az://ACCOUNT/CONTAINER/PREFIX`."""
    azure_subscription: str | None = None
    """Subscription in which hubs are made; AZURE_SUBSCRIPTION_ID if not set."""
    azure_key_vault: str | None = None
    """Name of the vault that secrets of runs are put in."""
    queue_local: int | None = None
    """How many hubs a controller has at once on this machine, and on each cloud; no limit if not set."""
    queue_aws: int | None = None
    queue_gcp: int | None = None
    queue_azure: int | None = None
    notify_webhook: str | None = None
    """Address that a controller posts every change of a run to, signed with `notify.secret`."""
    notify_secret: str | None = None
    """Key of the signature; HARCHOS_NOTIFY_SECRET, where set, comes first."""
    notify_command: str | None = None
    """Command that gets every change of a run on its standard input."""
    signal: str | None = None
    """Carbon signal where `--signal` is not given (`electricitymaps,replay`); the replay if not set."""
    electricitymaps_token: str | None = None
    """Keys of live carbon sources; their environment variables, where set, come first."""
    watttime_user: str | None = None
    watttime_password: str | None = None
    eia_api_key: str | None = None
    entsoe_token: str | None = None

    @classmethod
    def load(cls) -> Settings:
        """Read the settings file; a file that is not there is an empty one."""
        return cls(**{_attribute(key): _parse(key, value) for key, value in _read().items()})

    def clouds(self) -> tuple[str, ...]:
        """Return the clouds that hubs may be rented on: those with a mailbox."""
        mailboxes = {"aws": self.aws_mailbox, "gcp": self.gcp_mailbox, "azure": self.azure_mailbox}
        return tuple(cloud for cloud, mailbox in mailboxes.items() if mailbox)


KEYS: tuple[str, ...] = tuple(f.name.replace("_", ".", 1) for f in fields(Settings))
SECRET_KEYS = frozenset(
    {"electricitymaps.token", "watttime.password", "eia.api_key", "entsoe.token", "notify.secret"}
)
"""Settings whose value is not listed."""
_CHOICES = {"local.engine": ("auto", "podman", "docker", "none"), "local.image": ("workload", "host")}


def set_value(key: str, value: str) -> None:
    """Write one setting after checking key and value."""
    _parse(_check(key), value)
    _write({**_read(), key: value})


def unset_value(key: str) -> None:
    """Remove one setting; one that is not set stays so."""
    _write({k: v for k, v in _read().items() if k != _check(key)})


def queue_limit(provider: str) -> int | None:
    """Return how many hubs may be on a cloud at once; None for no limit."""
    limit: int | None = getattr(Settings.load(), f"queue_{provider}")
    return limit


def get_value(key: str) -> str | float | None:
    """Return the value in force for a dotted key."""
    value: str | float | None = getattr(Settings.load(), _attribute(_check(key)))
    return value


def _attribute(key: str) -> str:
    return _check(key).replace(".", "_", 1)


def _check(key: str) -> str:
    if key not in KEYS:
        near = get_close_matches(key, KEYS, n=1)
        raise HarchosError(
            f"unknown setting {key!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"known settings: {', '.join(KEYS)}",
        )
    return key


def _parse(key: str, value: Any) -> Any:
    if key in ("local.pue", "local.price_usd_hour"):
        least = 1.0 if key == "local.pue" else 0.0
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not least <= number < float("inf"):
            raise HarchosError(f"setting {key}: {value!r} is not a number of at least {least:g}")
        return number
    if key.startswith("queue."):
        if not str(value).isdecimal():
            raise HarchosError(f"setting {key}: {value!r} is not a number of hubs", hint="0, 1, 2 …")
        return int(value)
    if key == "notify.webhook" and not str(value).startswith(("http://", "https://")):
        raise HarchosError(f"setting {key}: {value!r} is not an address", hint="it begins with https://")
    if key in _CHOICES and value not in _CHOICES[key]:
        raise HarchosError(f"setting {key}: {value!r} is not one of {', '.join(_CHOICES[key])}")
    return str(value)


def _file() -> Path:
    return home() / "config.yaml"


def _read() -> dict[str, Any]:
    try:
        text = _file().read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    import yaml

    try:
        document = yaml.load(text, yaml.CBaseLoader) or {}
    except yaml.YAMLError as error:
        raise HarchosError(
            f"{_file()}: not valid YAML: {error}", hint="correct or remove the file"
        ) from error
    if not isinstance(document, dict):
        raise HarchosError(
            f"{_file()}: a mapping of settings was expected", hint="correct or remove the file"
        )
    return document


def _write(values: dict[str, Any]) -> None:
    import yaml

    _file().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(_file(), yaml.safe_dump(values, sort_keys=True))

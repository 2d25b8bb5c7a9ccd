"""Where Terraform keeps the state of a hub: beside it, or in a store that several machines share."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from harchos_infra.errors import HarchosError

_HINT = (
    "one of s3://BUCKET/PREFIX?region=REGION, gs://BUCKET/PREFIX, az://ACCOUNT/CONTAINER/PREFIX, "
    "pg (with PG_CONN_STR in the environment); unset it to keep states on this machine"
)
_LONGEST_SCHEMA = 63
_S3_COMPATIBLE = {
    "use_path_style": True,
    "skip_credentials_validation": True,
    "skip_metadata_api_check": True,
    "skip_region_validation": True,
    "skip_requesting_account_id": True,
}
"""What an S3 store other than Amazon's needs: it has no STS, no metadata service, and regions of its own."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A Terraform backend. All of them lock; each hub has a key of its own."""

    kind: str
    """`local`, `s3`, `gcs`, `azurerm` or `pg`, as Terraform names it."""
    block: dict[str, Any]
    """Its configuration. No credentials: those come from the environment."""

    @property
    def required_terraform(self) -> tuple[int, int, int]:
        """The oldest Terraform that has it; the lock file of S3 came with 1.10."""
        return (1, 10, 0) if self.kind == "s3" else (1, 5, 0)


LOCAL = Backend("local", {})


def backend_for(setting: str | None, run: str, hub: str) -> Backend:
    """Return the backend of one hub, given the setting `terraform.backend`.

    Raises HarchosError naming the setting when it is none of the forms that are known.
    """
    if not setting:
        return LOCAL
    if setting == "pg":
        return Backend("pg", {"schema_name": _schema_name(hub)})
    url = urlsplit(setting)
    known: dict[str, Callable[[SplitResult, str], Backend]] = {"s3": _s3, "gs": _gcs, "az": _azurerm}
    if url.scheme not in known or not url.netloc:
        raise HarchosError(f"setting terraform.backend: {setting!r} is no place for states", hint=_HINT)
    return known[url.scheme](url, f"{run}/{hub}")


def _s3(url: SplitResult, key: str) -> Backend:
    query = dict(parse_qsl(url.query))
    if query.keys() - {"region", "endpoint"}:
        raise HarchosError(f"setting terraform.backend: {url.query!r} has more than region and endpoint")
    block: dict[str, Any] = {
        "bucket": url.netloc,
        "key": _under(url.path, f"{key}.tfstate"),
        "encrypt": True,
        "use_lockfile": True,
    }
    if region := query.get("region"):
        block["region"] = region
    if endpoint := query.get("endpoint"):
        block |= {"endpoints": {"s3": endpoint}, **_S3_COMPATIBLE}
    return Backend("s3", block)


def _gcs(url: SplitResult, key: str) -> Backend:
    return Backend("gcs", {"bucket": url.netloc, "prefix": _under(url.path, key)})


def _azurerm(url: SplitResult, key: str) -> Backend:
    container, _, prefix = url.path.strip("/").partition("/")
    if not container:
        raise HarchosError(f"setting terraform.backend: {url.geturl()!r} names no container", hint=_HINT)
    return Backend(
        "azurerm",
        {
            "storage_account_name": url.netloc,
            "container_name": container,
            "key": _under(prefix, f"{key}.tfstate"),
            "use_azuread_auth": True,
        },
    )


def _under(prefix: str, key: str) -> str:
    return f"{prefix.strip('/')}/{key}".lstrip("/")


def _schema_name(hub: str) -> str:
    """Return a name that PostgreSQL takes whole; one that had to be cut ends in a hash of the hub's."""
    name = "harchos_" + re.sub(r"[^a-z0-9]", "_", hub)
    if len(name) <= _LONGEST_SCHEMA and not re.search(r"[._]", hub):
        return name
    return f"{name[:54]}_{hashlib.sha256(hub.encode()).hexdigest()[:8]}"

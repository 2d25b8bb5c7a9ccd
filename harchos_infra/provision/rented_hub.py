"""What a root needs for a hub that is rented: the cloud's provider, and the inputs of its module."""

from __future__ import annotations

from typing import Any

from harchos_infra.errors import HarchosError
from harchos_infra.provision.hub_spec import HubSpec

CLOUDS = frozenset({"aws", "gcp", "azure"})
OUTPUTS = ("hub", "mailbox", "instances", "addresses")
_REQUIRED = {
    "aws": {"aws": {"source": "hashicorp/aws", "version": "~> 6.47"}},
    "gcp": {"google": {"source": "hashicorp/google", "version": "~> 6.50"}},
    "azure": {"azurerm": {"source": "hashicorp/azurerm", "version": "~> 4.80"}},
}


def required_providers(cloud: str) -> dict[str, dict[str, str]]:
    """Return the providers of a cloud's root, with the versions that the modules were checked against."""
    return _REQUIRED[cloud]


def provider_block(spec: HubSpec) -> dict[str, Any]:
    """Return the configuration of the provider: where, and in whose account. Credentials stay outside.

    Raises HarchosError where the cloud must be told an account and none is known.
    """
    if spec.cloud == "aws":
        # With an account given, credentials of another one are refused before anything is made.
        accounts = {"allowed_account_ids": [spec.account]} if spec.account else {}
        return {"aws": {"region": spec.region, **accounts}}
    if spec.cloud == "gcp":
        return {"google": {"project": _account(spec), "region": spec.region}}
    # The group is the hub's own: what an interrupted create left in it goes with it. Registering resource
    # providers needs rights over the whole subscription, which a hub's maker has not.
    return {
        "azurerm": {
            "features": {"resource_group": {"prevent_deletion_if_contains_resources": False}},
            "subscription_id": _account(spec),
            "resource_provider_registrations": "none",
        }
    }


def inputs(spec: HubSpec) -> dict[str, Any]:
    """Return the module's inputs; what is not decided is left to the module's defaults."""
    decided = {
        "run": spec.run,
        "hub": spec.hub,
        "workload": spec.workload,
        "expires": spec.expires_utc,
        "mailbox": spec.mailbox_url,
        "project": _account(spec) if spec.cloud == "gcp" else None,
        "region": spec.region,
        "availability_zone": spec.availability_zone,
        "instance_type": spec.instance_type,
        "market": spec.market,
        "nodes": spec.nodes,
        "max_price_usd_hour": spec.max_price_usd_hour,
        "image": spec.image,
        "disk_gib": spec.disk_gib,
        "ingress": [{"port": port, "cidrs": list(cidrs)} for port, cidrs in spec.ingress],
        "environment": dict(spec.environment),
        "secrets": list(spec.secret_names),
        "key_vault": _key_vault(spec) if spec.cloud == "azure" else None,
    }
    return {name: value for name, value in decided.items() if value is not None}


def _key_vault(spec: HubSpec) -> str | None:
    if spec.secret_names and not spec.key_vault:
        raise HarchosError(
            f"hub {spec.hub}: the workload has secrets, and no key vault is known that keeps them",
            hint="harchos config set azure.key_vault NAME",
        )
    return spec.key_vault if spec.secret_names else None


def _account(spec: HubSpec) -> str:
    if spec.account:
        return spec.account
    noun = {
        "gcp": ("Google project", "gcp.project PROJECT"),
        "azure": ("Azure subscription", "azure.subscription ID"),
    }
    what, setting = noun[spec.cloud]
    raise HarchosError(
        f"hub {spec.hub}: no {what} is known to make it in", hint=f"harchos config set {setting}"
    )

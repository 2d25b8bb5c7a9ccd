"""What hubs on Azure need, looked at one by one for `harchos doctor`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harchos_infra.clouds.azure_session import SUBSCRIPTIONS, AzureSession, is_physical
from harchos_infra.clouds.cloud import Finding
from harchos_infra.errors import HarchosError
from harchos_infra.settings import Settings
from harchos_infra.share import share_directory

NAMESPACES = ("Microsoft.Compute", "Microsoft.Network", "Microsoft.ManagedIdentity", "Microsoft.Storage")
ROLES = ("HarchOS hub mailbox", "HarchOS hub lifetime")
"""Roles that the module `azure-hub` gives to a hub's identity; made once for a subscription."""
_GPU_FAMILY = re.compile(r"standardN[CDGV]", re.IGNORECASE)
_AT_ONCE = 8
_SHOWN = 4
_AUTHORIZATION = "2022-04-01"
_PROVIDERS = "2021-04-01"
_STORAGE = "2023-05-01"


def role_file() -> Path:
    """Return the least role of whoever runs `harchos` in a subscription."""
    return share_directory("configs") / "iam" / "azure-controller-role.json"


def least_actions() -> list[str]:
    """Return what that role grants: all that making, listing and deleting hubs takes."""
    actions: list[str] = json.loads(role_file().read_text(encoding="utf-8"))["Actions"]
    return actions


def check(session: AzureSession) -> list[Finding]:
    """Return the findings; where nobody is signed in, or not to a subscription, that is the only one."""
    try:
        subscription = session.get(f"/subscriptions/{session.subscription}", SUBSCRIPTIONS)
    except HarchosError as error:
        return [Finding("credentials", False, error.what, error.hint)]
    return [
        _subscription(session, subscription),
        *(_of("providers", partial(_provider, session, namespace)) for namespace in NAMESPACES),
        _of("permissions", lambda: _permissions(session)),
        *(_of("roles", partial(_role, session, role)) for role in ROLES),
        _of("quota", lambda: _quota(session)),
        _of("mailbox", lambda: _mailbox(session)),
        _of("secrets", lambda: _vault(session), required=False),
        _of("prices", _prices, required=False),
    ]


def _of(subject: str, look: Callable[[], Finding], *, required: bool = True) -> Finding:
    """Return what `look` finds; a refusal is a finding, too."""
    try:
        return look()
    except HarchosError as error:
        return Finding(subject, False, error.what, error.hint, required)


def _subscription(session: AzureSession, read: Mapping[str, Any]) -> Finding:
    name = (
        f"subscription {session.subscription} ({read.get('displayName', '')}), tenant {read.get('tenantId')}"
    )
    if read.get("state") in ("Enabled", "Warned"):
        return Finding("credentials", True, name)
    return Finding(
        "credentials", False, f"{name} is {read.get('state')}", "enable it in the portal, or set another"
    )


def _provider(session: AzureSession, namespace: str) -> Finding:
    path = f"/subscriptions/{session.subscription}/providers/{namespace}"
    state = session.get(path, _PROVIDERS).get("registrationState")
    if state == "Registered":
        return Finding("providers", True, f"{namespace} is registered")
    return Finding(
        "providers",
        False,
        f"{namespace} is not registered in subscription {session.subscription}",
        f"az provider register --namespace {namespace} --subscription {session.subscription}",
    )


def _permissions(session: AzureSession) -> Finding:
    """Compare what the principal was granted with the least that hubs need."""
    needed = least_actions()
    path = f"/subscriptions/{session.subscription}/providers/Microsoft.Authorization/permissions"
    granted = list(session.pages(path, _AUTHORIZATION))
    missing = [action for action in needed if not _is_granted(action, granted)]
    if not missing:
        return Finding("permissions", True, f"all {len(needed)} that hubs need")
    return Finding(
        "permissions",
        False,
        f"{len(missing)} of {len(needed)} are missing on subscription {session.subscription}: "
        f"{', '.join(missing)}",
        f"az role definition create --role-definition {role_file()} (with the subscription's id in it), "
        "then az role assignment create",
    )


def _is_granted(action: str, granted: Iterable[Mapping[str, Any]]) -> bool:
    def among(patterns: Iterable[str]) -> bool:
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)

    return any(among(p.get("actions", ())) and not among(p.get("notActions", ())) for p in granted)


def _role(session: AzureSession, role: str) -> Finding:
    path = f"/subscriptions/{session.subscription}/providers/Microsoft.Authorization/roleDefinitions"
    if any(session.pages(path, _AUTHORIZATION, **{"$filter": f"roleName eq '{role}'"})):
        return Finding("roles", True, f"the role {role!r} is there")
    return Finding(
        "roles",
        False,
        f"subscription {session.subscription} has no role {role!r}",
        f"make it once: az role definition create, with its file in {role_file().parent}",
    )


def _mailbox(session: AzureSession) -> Finding:
    url = Settings.load().azure_mailbox
    if not url:
        return Finding(
            "mailbox", False, "no mailbox is set", "harchos config set azure.mailbox az://ACCOUNT/CONTAINER"
        )
    account, container = urlsplit(url).netloc, urlsplit(url).path.strip("/").partition("/")[0]
    path = f"/subscriptions/{session.subscription}/providers/Microsoft.Storage/storageAccounts"
    found = next((item for item in session.pages(path, _STORAGE) if item["name"] == account), None)
    if found is None:
        return Finding(
            "mailbox",
            False,
            f"{url}: subscription {session.subscription} has no storage account {account!r}",
            f"az storage account create --name {account} --resource-group GROUP --location REGION",
        )
    if not session.exists(f"{found['id']}/blobServices/default/containers/{container}", _STORAGE):
        return Finding(
            "mailbox",
            False,
            f"{url}: storage account {account} has no container {container!r}",
            f"az storage container-rm create --storage-account {account} --name {container}",
        )
    public = "allowed" if found["properties"].get("allowBlobPublicAccess") else "refused"
    return Finding("mailbox", True, f"{url} in {found['location']}, public access {public}")


def _quota(session: AzureSession) -> Finding:
    """Look for GPU vCPUs in every region: subscriptions begin with none."""
    path = f"/subscriptions/{session.subscription}/locations"
    regions = [r["name"] for r in session.pages(path, SUBSCRIPTIONS) if is_physical(r)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        listed = pool.map(lambda region: session.all(lambda: session.compute.usage.list(region)), regions)
        families = {
            region: [
                f"{usage.name.value} {usage.current_value} of {usage.limit}"
                for usage in usages
                if _gpu(usage)
            ]
            for region, usages in zip(regions, listed, strict=True)
        }
    some = [f"{region}: {', '.join(shown)}" for region, shown in families.items() if shown]
    if not some:
        return Finding(
            "quota",
            False,
            f"no vCPU of GPU machines in any of {len(regions)} regions: that is where subscriptions begin",
            "ask for a family (standardNCASv3_T4Family…): https://portal.azure.com/#view/Microsoft_Azure_Capacity"
            "/QuotaMenuBlade/~/myQuotas",
        )
    more = [f"{len(some) - _SHOWN} more regions"] if len(some) > _SHOWN else []
    return Finding("quota", True, f"vCPUs of GPU machines: {'; '.join([*some[:_SHOWN], *more])}")


def _gpu(usage: Any) -> bool:
    return bool(_GPU_FAMILY.match(usage.name.value)) and usage.limit > 0


def _vault(session: AzureSession) -> Finding:
    vault = Settings.load().azure_key_vault
    if not vault:
        return Finding(
            "secrets", False, "no key vault is set", "harchos config set azure.key_vault NAME", required=False
        )
    next(session.vault_pages(vault), None)
    return Finding("secrets", True, f"key vault {vault} can be listed", required=False)


def _prices() -> Finding:
    from harchos_infra.clouds.azure_prices import price_list_answers

    price_list_answers()
    return Finding("prices", True, "the price list answers", required=False)

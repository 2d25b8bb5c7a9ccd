"""What hubs on Azure need, looked at one by one for `harchos doctor`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harchos_infra.clouds.azure_session import SUBSCRIPTIONS, AzureSession
from harchos_infra.clouds.cloud import Finding
from harchos_infra.errors import HarchosError
from harchos_infra.settings import Settings
from harchos_infra.share import share_directory

NAMESPACES = ("Microsoft.Compute", "Microsoft.Network", "Microsoft.ManagedIdentity", "Microsoft.Storage")
ROLES = ("HarchOS hub mailbox", "HarchOS hub lifetime")
"""Roles that the module `azure-hub` gives to a hub's identity; made once for a subscription."""
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
    account = urlsplit(url).netloc
    path = f"/subscriptions/{session.subscription}/providers/Microsoft.Storage/storageAccounts"
    for found in session.pages(path, _STORAGE):
        if found["name"] == account:
            public = "allowed" if found["properties"].get("allowBlobPublicAccess") else "refused"
            return Finding("mailbox", True, f"{url} in {found['location']}, public access {public}")
    return Finding(
        "mailbox",
        False,
        f"{url}: subscription {session.subscription} has no storage account {account!r}",
        f"az storage account create --name {account} --resource-group GROUP --location REGION",
    )


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

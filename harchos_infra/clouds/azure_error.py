"""What Azure refuses, said in plain words: what, where, what next."""

from __future__ import annotations

import json
import re
from typing import Any

from harchos_infra.errors import HarchosError

_ACTION = re.compile(r"(?:perform action|Action:) '?(Microsoft\.[\w./*]+)'?")
_SCOPE = re.compile(r"over scope '([^']+)'")
_WHO = re.compile(r"with object id '([0-9a-fA-F-]+)'")
_NAMESPACE = re.compile(r"Microsoft\.\w+")
_SIGN_IN = "az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
_NO_SUBSCRIPTION = frozenset({"SubscriptionNotFound", "InvalidSubscriptionId"})


class AzureError(HarchosError):
    """Azure refused or failed.

    `status` is the HTTP status (0: none; 200: a long operation that failed), `code` Azure's own word for it
    (`AuthorizationFailed`, `SkuNotAvailable`), `action` the permission that was missing.
    """

    def __init__(
        self,
        what: str,
        *,
        hint: str | None = None,
        status: int = 0,
        code: str = "",
        action: str | None = None,
    ) -> None:
        super().__init__(what, hint=hint)
        self.status = status
        self.code = code
        self.action = action


def explain(error: Exception, subscription: str) -> AzureError | None:
    """Return the error behind an exception of Azure's SDKs; None: it is not one of theirs."""
    from azure.core.exceptions import AzureError as SdkError
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError

    if not isinstance(error, SdkError):
        return None
    if isinstance(error, HttpResponseError) and error.response is not None:
        return _of_answer(error, subscription)
    if isinstance(error, ClientAuthenticationError):
        return _not_signed_in(error)
    if isinstance(error, ServiceRequestError):
        return AzureError(
            f"Azure cannot be reached: {error.message}", hint="check the network and the proxy settings"
        )
    return AzureError(f"Azure did not answer as it should: {error.message}", hint="try again")


def not_registered(namespace: str, subscription: str) -> AzureError:
    """Return the error of a resource provider that the subscription has not been registered for."""
    return AzureError(
        f"{namespace} is not registered in subscription {subscription}",
        hint=f"az provider register --namespace {namespace} --subscription {subscription}",
        status=409,
        code="MissingSubscriptionRegistration",
    )


def _not_signed_in(error: Any) -> AzureError:
    """Return the error of a machine on which nobody is signed in, or of credentials that give no token."""
    lines = [line.strip() for line in str(error.message).splitlines() if line.strip()]
    refused = next((line for line in lines if "AADSTS" in line), None)
    if refused:
        return AzureError(
            f"Azure refused the credentials: {refused}", hint=_SIGN_IN, status=401, code="InvalidCredentials"
        )
    return AzureError("no credentials for Azure", hint=_SIGN_IN, code="NoCredentials")


def _of_answer(error: Any, subscription: str) -> AzureError:
    status = int(error.status_code or 0)
    code, whole = _code_and_message(error)
    message = whole.partition("\n")[0].strip()
    known: dict[str, Any] = {"status": status, "code": code}
    if status == 401:
        return AzureError(f"Azure refused the credentials: {message}", hint=_SIGN_IN, **known)
    if code in _NO_SUBSCRIPTION:
        return AzureError(
            f"subscription {subscription} does not exist, or these credentials may not see it",
            hint="set another: harchos config set azure.subscription ID (`az account list` shows them)",
            **known,
        )
    if status == 403 and (action := _ACTION.search(whole)):
        return _forbidden(action[1], whole, subscription, known)
    if code == "ReadOnlyDisabledSubscription":
        return AzureError(
            f"subscription {subscription} is disabled: it can be read, not changed",
            hint="enable it in the portal: what is in it goes on being billed as long as it is there",
            **known,
        )
    if code == "MissingSubscriptionRegistration" and (found := _NAMESPACE.search(message)):
        return not_registered(found[0], subscription)
    if code == "ScopeLocked":
        return AzureError(
            f"a lock keeps it from being deleted: {message}",
            hint="remove the lock: az lock list, az lock delete; then run the same command again",
            **known,
        )
    if status == 429:
        return AzureError(
            f"Azure is asked too often in subscription {subscription}: {message}",
            hint="wait a minute and try again",
            **known,
        )
    return AzureError(f"Azure, subscription {subscription}: {message} ({code or status})", **known)


def _forbidden(action: str, message: str, subscription: str, known: dict[str, Any]) -> AzureError:
    who, scope = _WHO.search(message), _SCOPE.search(message)
    principal = who[1] if who else "the signed-in principal"
    where = scope[1] if scope else f"/subscriptions/{subscription}"
    return AzureError(
        f"{principal} lacks {action} on {where}",
        hint=f"have a role with {action} assigned: "
        f"az role assignment create --assignee {principal} --role ROLE --scope {where}",
        action=action,
        **known,
    )


def _code_and_message(error: Any) -> tuple[str, str]:
    """Return Azure's word and sentence; the innermost word where the outer one says nothing."""
    try:
        document = json.loads(error.response.text())
    except (ValueError, AttributeError):
        document = {}
    found = document.get("error", document) if isinstance(document, dict) else {}
    if not isinstance(found, dict) or not found.get("code"):
        code = getattr(error.error, "code", None) if getattr(error, "error", None) else None
        return str(code or ""), str(error.message)
    inner = found.get("innererror") or {}
    return str(inner.get("code") or found["code"]), str(found.get("message", ""))

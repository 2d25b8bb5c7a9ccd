"""What Google Cloud refuses, said in plain words: what, where, what next."""

from __future__ import annotations

import json
import re
from typing import Any

from harchos_infra.errors import HarchosError

NOT_ENABLED = frozenset({"accessNotConfigured", "SERVICE_DISABLED"})
"""Reasons that say: this API is not enabled in the project."""
_PERMISSION = re.compile(
    r"\b((?:compute|iam|secretmanager|storage|resourcemanager|cloudbilling)\.(?!googleapis|gserviceaccount)\w+\.\w+)"
)
_TOO_OFTEN = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"})
_NO_SUCH_PROJECT = frozenset({"CONSUMER_INVALID", "USER_PROJECT_DENIED"})
_SIGN_IN = "sign in again: gcloud auth application-default login"


class GcpError(HarchosError):
    """Google Cloud refused or failed.

    `status` is the HTTP status (0: none), `reason` Google's own word for it (`notFound`,
    `resourceInUseByAnotherResource`, `ZONE_RESOURCE_POOL_EXHAUSTED`), `passes` whether the same call may
    succeed in a moment.
    """

    def __init__(
        self,
        what: str,
        *,
        hint: str | None = None,
        status: int = 0,
        reason: str = "",
        permission: str | None = None,
        passes: bool = False,
    ) -> None:
        super().__init__(what, hint=hint)
        self.status = status
        self.reason = reason
        self.permission = permission
        self.passes = passes


def no_credentials(error: Exception) -> GcpError:
    """Return the error of a machine on which nobody is signed in to Google Cloud."""
    detail = str(error).split(". To set up", 1)[0].split("\n", 1)[0].rstrip(".")
    return GcpError(
        f"no credentials for Google Cloud: {detail}",
        hint="gcloud auth application-default login, "
        "or set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account",
        reason="noCredentials",
    )


def credentials_refused(error: Exception) -> GcpError:
    """Return the error of credentials that gave no token, or of a token server that cannot be reached."""
    from google.auth.exceptions import TransportError

    if isinstance(error, TransportError):
        return GcpError(
            f"Google's token server cannot be reached: {error}", hint="check the network", passes=True
        )
    said = error.args[0] if error.args else error
    return GcpError(
        f"Google Cloud refused the credentials: {said}",
        hint=_SIGN_IN,
        status=401,
        reason="invalidCredentials",
    )


def of_sdk(error: Exception, project: str, principal: str) -> GcpError | None:
    """Return the error behind an exception of google-cloud-compute; None: it is not one of Google's."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError

    if isinstance(error, RetryError):
        return GcpError(f"Google Cloud did not answer in time: {error}", hint="try again", passes=True)
    if not isinstance(error, GoogleAPICallError):
        return None
    text = getattr(error.response, "text", "") if error.response is not None else str(error.message)
    return of_body(int(error.code or 0), text, project, principal)


def of_body(status: int, text: str, project: str, principal: str) -> GcpError:
    """Return the error of an answer: `text` is Google's error document, or whatever a proxy sent instead."""
    message, reason, metadata = _parse(text)
    message = message or f"HTTP {status}"
    permission = metadata.get("permission") or _permission(message)
    known: dict[str, Any] = {"status": status, "reason": reason}
    if reason in _TOO_OFTEN or status == 429:
        return GcpError(
            f"Google Cloud is asked too often in project {project}: {message}",
            hint="wait a minute and try again",
            passes=True,
            **known,
        )
    if status == 401:
        return GcpError(
            f"Google Cloud refused the credentials of {principal}: expired or revoked", hint=_SIGN_IN, **known
        )
    if reason in NOT_ENABLED:
        service = metadata.get("service") or _service(message)
        return GcpError(
            f"{service} is not enabled in project {project}",
            hint=f"gcloud services enable {service} --project {project}",
            **known,
        )
    if reason == "BILLING_DISABLED":
        return GcpError(
            f"project {project} has no billing account",
            hint=f"gcloud billing projects link {project} --billing-account ACCOUNT",
            **known,
        )
    if reason in _NO_SUCH_PROJECT or (status == 404 and f"'projects/{project}'" in message):
        return GcpError(
            f"project {project} does not exist, or {principal} may not see it",
            hint="set another: harchos config set gcp.project PROJECT",
            status=status,
            reason="projectNotFound",
        )
    if status == 403:
        needed = permission or "a permission"
        return GcpError(
            f"{principal} lacks {needed} in project {project}: {message}",
            hint=f"ask the project's owner for a role with {needed}",
            permission=permission,
            **known,
        )
    return GcpError(
        f"Google Cloud, project {project}: {message}", passes=status in (500, 502, 503, 504), **known
    )


def _parse(text: str) -> tuple[str, str, dict[str, str]]:
    """Return (message, reason, metadata); the newer `details` are read before the older `errors`."""
    try:
        error = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return text.strip()[:200], "", {}
    if not isinstance(error, dict):
        return str(error), "", {}
    message = str(error.get("message", ""))
    for detail in error.get("details", ()):
        if str(detail.get("@type", "")).endswith("google.rpc.ErrorInfo"):
            return message, str(detail.get("reason", "")), dict(detail.get("metadata", {}))
    first: dict[str, Any] = next(iter(error.get("errors", ())), {})
    return message, str(first.get("reason") or error.get("status", "")), {}


def _permission(message: str) -> str | None:
    found = _PERMISSION.search(message)
    return found[1] if found else None


def _service(message: str) -> str:
    found = re.search(r"[a-z]+\.googleapis\.com", message)
    return found[0] if found else "an API"

"""An Azure Key Vault in its REST format (7.4): secrets with values, soft deletion, purge; on FakeAzure.

`machine` is the bearer token of a hub: it may read secrets and nothing else. A deleted secret can be purged
after `purge_delays` questions; until it is, its name is taken. Names of secrets know no letter case.
"""

from __future__ import annotations

import re
from typing import Any

from support.fake_azure import FakeAzure
from support.rest_server import Answer, Request

_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")


def refusal(status: int, code: str, message: str, inner: str | None = None) -> Answer:
    error: dict[str, Any] = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    return Answer(status, {"error": error})


class FakeKeyVault(FakeAzure):
    """One vault with role-based access."""

    def __init__(self, machine: str = "eyJfake") -> None:
        super().__init__()
        self.machine = machine
        self.removed: dict[str, dict[str, Any]] = {}
        """Deleted and not purged."""
        self.purge_delays = 0
        self.may_purge = True

    def respond(self, request: Request) -> Answer:
        collection, _, name = request.path.strip("/").partition("/")
        if collection not in ("secrets", "deletedsecrets"):
            return super().respond(request)
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not (bearer == self.machine or bearer.startswith("token-7Qx")):
            challenge = {"WWW-Authenticate": 'Bearer authorization="https://login.microsoftonline.com/t"'}
            said = refusal(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
            return Answer(401, said.document, challenge)
        if request.query.get("api-version") != "7.4":
            return refusal(400, "BadParameter", "The api-version query parameter is required.")
        if bearer == self.machine and (request.method, collection) != ("GET", "secrets"):
            return refusal(403, "Forbidden", "Caller is not authorized.", "ForbiddenByRbac")
        if collection == "deletedsecrets" and name.endswith("/recover"):
            return self._recover(name.removesuffix("/recover"))
        if collection == "deletedsecrets":
            return self._purge(name)
        return self._of_secrets(request, name)

    def _of_secrets(self, request: Request, name: str) -> Answer:
        if not name:
            shown = ({k: v for k, v in secret.items() if k != "value"} for secret in self.secrets.values())
            return self._page(request, [{**s, "id": s["id"].rpartition("/")[0]} for s in shown])
        if not _NAME.fullmatch(name):
            return refusal(400, "BadParameter", f"The request URI contains an invalid name: {name}")
        if request.method == "PUT":
            if name.lower() in self.removed:
                said = f"Secret {name} is currently in a deleted but recoverable state."
                return refusal(409, "Conflict", said, "ObjectIsDeletedButRecoverable")
            self.secrets[name.lower()] = {"id": f"{self.url}/secrets/{name}/6f2a", **request.body}
            return Answer(200, self.secrets[name.lower()])
        if name.lower() not in self.secrets:
            said = f"A secret with (name/id) {name} was not found in this key vault."
            return refusal(404, "SecretNotFound", said)
        if request.method == "DELETE":
            self.removed[name.lower()] = self.secrets.pop(name.lower())
            return Answer(200, {"recoveryId": f"{self.url}/deletedsecrets/{name}"})
        return Answer(200, self.secrets[name.lower()])

    def _recover(self, name: str) -> Answer:
        if name.lower() not in self.removed:
            return refusal(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        self.secrets[name.lower()] = self.removed.pop(name.lower())
        return Answer(200, {"id": f"{self.url}/secrets/{name}"})

    def _purge(self, name: str) -> Answer:
        if not self.may_purge:
            return refusal(403, "Forbidden", "Caller is not authorized.", "ForbiddenByRbac")
        if name.lower() not in self.removed:
            return refusal(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        if self.purge_delays > 0:
            self.purge_delays -= 1
            return refusal(409, "Conflict", "Secret is currently being deleted.", "ObjectIsBeingDeleted")
        del self.removed[name.lower()]
        return Answer(204)

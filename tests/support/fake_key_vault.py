"""An Azure Key Vault in its REST format (7.4): secrets, soft deletion and purge, listings in pages.

`machine` is the bearer token of a hub: it may read secrets and nothing else. A deleted secret can be purged
after `purge_delays` questions; until it is, its name is taken.
"""

from __future__ import annotations

import re
from typing import Any

from support.rest_server import Answer, Request, RestServer

CONTROLLER = "eyJcontroller"
_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")


def refusal(status: int, code: str, message: str, inner: str | None = None) -> Answer:
    error: dict[str, Any] = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    return Answer(status, {"error": error})


class FakeKeyVault(RestServer):
    """One vault with role-based access; names of secrets know no letter case."""

    def __init__(self, machine: str = "eyJfake") -> None:
        super().__init__()
        self.machine = machine
        self.secrets: dict[str, dict[str, Any]] = {}
        self.deleted: dict[str, dict[str, Any]] = {}
        self.purge_delays = 0
        self.may_purge = True
        self.page_size = 25

    def respond(self, request: Request) -> Answer:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if bearer not in (CONTROLLER, self.machine):
            challenge = {"WWW-Authenticate": 'Bearer authorization="https://login.microsoftonline.com/t"'}
            said = refusal(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
            return Answer(401, said.document, challenge)
        if request.query.get("api-version") != "7.4":
            return refusal(400, "BadParameter", "The api-version query parameter is required.")
        collection, _, name = request.path.strip("/").partition("/")
        if bearer == self.machine and (request.method, collection) != ("GET", "secrets"):
            return refusal(403, "Forbidden", "Caller is not authorized.", "ForbiddenByRbac")
        if collection == "deletedsecrets" and request.method == "DELETE":
            return self._purge(name)
        if collection != "secrets":
            return Answer(404, None)
        return self._of_secrets(request, name)

    def _of_secrets(self, request: Request, name: str) -> Answer:
        if not name:
            return self._list(request)
        if not _NAME.fullmatch(name):
            return refusal(400, "BadParameter", f"The request URI contains an invalid name: {name}")
        if request.method == "PUT":
            if name.lower() in self.deleted:
                said = f"Secret {name} is currently in a deleted but recoverable state."
                return refusal(409, "Conflict", said, "ObjectIsDeletedButRecoverable")
            self.secrets[name.lower()] = {"id": f"{self.url}/secrets/{name}/6f2a", **request.body}
            return Answer(200, self.secrets[name.lower()])
        if name.lower() not in self.secrets:
            said = f"A secret with (name/id) {name} was not found in this key vault."
            return refusal(404, "SecretNotFound", said)
        if request.method == "DELETE":
            self.deleted[name.lower()] = self.secrets.pop(name.lower())
            return Answer(200, {"recoveryId": f"{self.url}/deletedsecrets/{name}"})
        return Answer(200, self.secrets[name.lower()])

    def _purge(self, name: str) -> Answer:
        if not self.may_purge:
            return refusal(403, "Forbidden", "Caller is not authorized.", "ForbiddenByRbac")
        if name.lower() not in self.deleted:
            return refusal(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        if self.purge_delays > 0:
            self.purge_delays -= 1
            return refusal(409, "Conflict", "Secret is currently being deleted.", "ObjectIsBeingDeleted")
        del self.deleted[name.lower()]
        return Answer(204)

    def _list(self, request: Request) -> Answer:
        start = int(request.query.get("$skiptoken", 0))
        names = sorted(self.secrets)
        page = [
            {
                "id": self.secrets[name]["id"].rpartition("/")[0],
                "tags": self.secrets[name].get("tags"),
                "attributes": self.secrets[name]["attributes"],
            }
            for name in names[start : start + self.page_size]
        ]
        more = start + self.page_size < len(names)
        link = f"{self.url}/secrets?api-version=7.4&$skiptoken={start + self.page_size}" if more else None
        return Answer(200, {"value": page, "nextLink": link})

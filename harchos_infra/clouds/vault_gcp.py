"""Secrets in Google Secret Manager: `harchos-<run>-<name>`, kept in the hub's region, labelled, expiring."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from harchos_infra.clouds.gcp_error import GcpError
from harchos_infra.clouds.gcp_session import GcpSession
from harchos_infra.clouds.marks import label_value, of_labels
from harchos_infra.clouds.vault import StoredSecret, expiry, secret_name
from harchos_infra.errors import HarchosError

_API = "secretmanager"
_MOST_BYTES = 65536
_SOONEST = timedelta(minutes=1)
"""Secret Manager takes no end that is nearer."""


class SecretManager:
    """The secrets of one project; new ones are kept in `region` and nowhere else."""

    name = "Secret Manager"

    def __init__(self, region: str, session: GcpSession | None = None) -> None:
        self.region = region
        self._session = session or GcpSession()

    def put(self, run: str, name: str, value: str, tags: Mapping[str, str]) -> str:
        """Store a secret; Google deletes it by itself at `harchos:expires`."""
        data = value.encode()
        if not 0 < len(data) <= _MOST_BYTES:
            raise HarchosError(
                f"secret {name} has {len(data)} bytes; {self.name} takes 1 to {_MOST_BYTES}",
                hint="put larger files in a bucket of your own, and their key in the secret",
            )
        secret = secret_name(run, name)
        path = f"v1/projects/{self._session.project}/secrets"
        marked = _marked(tags)
        kept = {"replication": {"userManaged": {"replicas": [{"location": self.region}]}}}
        try:
            self._session.call("POST", _API, path, body={**kept, **marked}, secretId=secret)
        except GcpError as error:
            if error.status != 409:
                raise
            self._session.call("PATCH", _API, f"{path}/{secret}", body=marked, updateMask=",".join(marked))
        payload = {"payload": {"data": base64.b64encode(data).decode()}}
        self._session.call("POST", _API, f"{path}/{secret}:addVersion", body=payload)
        return f"gcpsm://projects/{self._session.project}/secrets/{secret}/versions/latest"

    def delete(self, reference: str) -> None:
        """Delete a secret with all its versions."""
        path = reference.removeprefix("gcpsm://").removesuffix("/versions/latest")
        try:
            self._session.call("DELETE", _API, f"v1/{path}")
        except GcpError as error:
            if error.status != 404:
                raise

    def list(self, *, run: str | None = None) -> list[StoredSecret]:
        """Return the project's secrets that carry our labels, in any region."""
        found = []
        path = f"v1/projects/{self._session.project}/secrets"
        for secret in self._session.pages(_API, path, "secrets", pageSize=250, filter="labels.harchos-run:*"):
            marks = of_labels(secret.get("labels", {}))
            if marks is not None and marks.match(run, None):
                name = secret["name"].rpartition("/")[2]
                reference = f"gcpsm://projects/{self._session.project}/secrets/{name}/versions/latest"
                found.append(StoredSecret(reference, marks.run, marks.expires))
        return found


def _marked(tags: Mapping[str, str]) -> dict[str, Any]:
    labels = {key.replace(":", "-"): label_value(text) for key, text in tags.items()}
    expires = expiry(tags)
    if expires is None or expires < datetime.now(UTC) + _SOONEST:
        return {"labels": labels}
    return {"labels": labels, "expireTime": expires.astimezone(UTC).isoformat().replace("+00:00", "Z")}

"""Secrets in an Azure Key Vault: `harchos-<run>-<name>` in the vault of the setting `azure.key_vault`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from harchos_infra.clouds.azure_error import AzureError
from harchos_infra.clouds.azure_session import AzureSession
from harchos_infra.clouds.marks import of_labels
from harchos_infra.clouds.vault import StoredSecret, expiry, secret_name
from harchos_infra.errors import HarchosError
from harchos_infra.settings import Settings

_MOST_BYTES = 25_000
PAUSE_S = 1.0
"""Between questions whether a vault is done with deleting or recovering a secret."""
_SETTLED_S = 30.0
"""How long that may take."""


class KeyVault:
    """One vault, that of the settings where none is named."""

    name = "Key Vault"

    def __init__(self, vault: str | None = None, session: AzureSession | None = None) -> None:
        self.vault = vault or Settings.load().azure_key_vault or ""
        if not self.vault:
            raise HarchosError(
                "the workload has secrets, and no key vault is set for them",
                hint="harchos config set azure.key_vault NAME",
            )
        self._session = session or AzureSession()

    def put(self, run: str, name: str, value: str, tags: Mapping[str, str]) -> str:
        """Store a secret; `harchos:expires` is its expiry, too, which Azure shows and does not act on.

        One that was deleted and not purged is recovered first: its name is taken.
        """
        size = len(value.encode())
        if not 0 < size <= _MOST_BYTES:
            raise HarchosError(
                f"secret {name} has {size} bytes; {self.name} takes 1 to {_MOST_BYTES}",
                hint="put larger files in a container of your own, and their key in the secret",
            )
        secret, expires = secret_name(run, name), expiry(tags)
        attributes = {"enabled": True, **({"exp": round(expires.timestamp())} if expires else {})}
        body = {"value": value, "tags": dict(tags), "attributes": attributes}
        try:
            self._session.vault_call(self.vault, "PUT", f"secrets/{secret}", body)
        except AzureError as error:
            if error.status != 409:
                raise
            self._session.vault_call(self.vault, "POST", f"deletedsecrets/{secret}/recover")
            self._settled(lambda: self._session.vault_call(self.vault, "PUT", f"secrets/{secret}", body))
        return f"azkv://{self.vault}/{secret}"

    def delete(self, reference: str) -> None:
        """Delete a secret, and purge it where that is allowed; else Azure keeps it as its vault says."""
        name = urlsplit(reference).path.strip("/")
        self._session.delete_secret(self.vault, name)
        try:
            self._settled(lambda: self._session.vault_call(self.vault, "DELETE", f"deletedsecrets/{name}"))
        except AzureError as error:
            if error.status not in (403, 404):
                raise

    def _settled(self, call: Callable[[], Any]) -> None:
        """Make a call that the vault refuses while it still deletes or recovers the secret."""
        until = time.monotonic() + _SETTLED_S
        while True:
            try:
                call()
                return
            except AzureError as error:
                if error.status != 409 or time.monotonic() > until:
                    raise
            time.sleep(PAUSE_S)

    def list(self, *, run: str | None = None) -> list[StoredSecret]:
        """Return the vault's secrets that carry our marks."""
        found = []
        for item in self._session.vault_pages(self.vault):
            marks, name = of_labels(item.get("tags")), item["id"].rpartition("/secrets/")[2].split("/")[0]
            if marks is not None and marks.match(run, None):
                found.append(StoredSecret(f"azkv://{self.vault}/{name}", marks.run, marks.expires))
        return found

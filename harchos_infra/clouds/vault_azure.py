"""Secrets in an Azure Key Vault: `harchos-<run>-<name>` in the vault of the setting `azure.key_vault`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from harchos_infra.clouds.vault import StoredSecret, expiry, secret_name
from harchos_infra.errors import HarchosError
from harchos_infra.settings import Settings

_VERSION = "7.4"
_SCOPE = "https://vault.azure.net/.default"
_PREFIX = "harchos-"
_MOST_BYTES = 25_000
_ANSWER_S = 30.0
_TRIES = 5
_PAUSE_S = 1.0
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_GONE_S = 30.0
"""How long a deletion may take before the secret can be purged."""


class KeyVault:
    """One vault. `credential` is one of azure-identity; its default chain where none is given."""

    name = "Key Vault"

    def __init__(self, vault: str | None = None, credential: Any = None) -> None:
        self.vault = vault or Settings.load().azure_key_vault or ""
        if not self.vault:
            raise HarchosError(
                "the workload has secrets, and no key vault is set for them",
                hint="harchos config set azure.key_vault NAME",
            )
        self._credential = credential

    def put(self, run: str, name: str, value: str, tags: Mapping[str, str]) -> str:
        """Store a secret; `harchos:expires` is its expiry, too, which Azure shows and does not act on."""
        size = len(value.encode())
        if not 0 < size <= _MOST_BYTES:
            raise HarchosError(
                f"secret {name} has {size} bytes; {self.name} takes 1 to {_MOST_BYTES}",
                hint="put larger files in a container of your own, and their key in the secret",
            )
        secret, expires = secret_name(run, name), expiry(tags)
        attributes = {"enabled": True, **({"exp": round(expires.timestamp())} if expires else {})}
        body = {"value": value, "tags": dict(tags), "attributes": attributes}
        self._call("PUT", f"secrets/{secret}", body)
        return f"azkv://{self.vault}/{secret}"

    def delete(self, reference: str) -> None:
        """Delete a secret, and purge it where that is allowed; else Azure keeps it as its vault says."""
        name = urlsplit(reference).path.strip("/")
        if self._call("DELETE", f"secrets/{name}", missing={}) == {}:
            return
        until = time.monotonic() + _GONE_S
        while True:
            try:
                self._call("DELETE", f"deletedsecrets/{name}", missing={})
                return
            except _RefusedError as error:
                if error.status == 403:
                    return
                if error.status != 409 or time.monotonic() > until:
                    raise
            time.sleep(_PAUSE_S)

    def list(self, *, run: str | None = None) -> list[StoredSecret]:
        """Return the vault's secrets that carry our marks."""
        found = []
        url: str | None = "secrets"
        while url:
            page = self._call("GET", url)
            for item in page["value"]:
                tags, name = item.get("tags") or {}, item["id"].rpartition("/secrets/")[2].partition("/")[0]
                marked = tags.get("harchos:run")
                if name.startswith(_PREFIX) and marked and run in (None, marked):
                    found.append(StoredSecret(f"azkv://{self.vault}/{name}", marked, expiry(tags)))
            url = page.get("nextLink")
        return found

    @cached_property
    def _base(self) -> str:
        base = os.environ.get("AZURE_KEY_VAULT_ENDPOINT") or f"https://{self.vault}.vault.azure.net"
        return base.rstrip("/")

    @cached_property
    def _signed_in(self) -> Any:
        if self._credential is not None:
            return self._credential
        from azure.identity import DefaultAzureCredential

        return DefaultAzureCredential()

    @cached_property
    def _http(self) -> Any:
        import httpx

        return httpx.Client(timeout=_ANSWER_S)

    def _call(self, method: str, path: str, body: Any = None, *, missing: Any = None) -> Any:
        """Make one call, again where the answer says that it may help; `missing` is returned for a 404."""
        import httpx

        for attempt in range(1, _TRIES + 1):
            try:
                answer = self._once(method, path, body)
            except httpx.HTTPError as error:
                if attempt == _TRIES:
                    raise HarchosError(
                        f"key vault {self.vault} cannot be reached: {error}",
                        hint="check the network, the proxy settings and the vault's firewall",
                    ) from None
            else:
                if answer.status_code < 400:
                    return answer.json() if answer.content else None
                if answer.status_code == 404 and missing is not None:
                    return missing
                if answer.status_code not in _PASSING or attempt == _TRIES:
                    raise self._refused(method, path, answer)
            time.sleep(_PAUSE_S * 2 ** (attempt - 1))
        raise AssertionError("every try has returned or raised")

    def _once(self, method: str, path: str, body: Any) -> Any:
        from azure.core.exceptions import ClientAuthenticationError

        try:
            token = self._signed_in.get_token(_SCOPE).token
        except ClientAuthenticationError as error:
            first = str(error.message or error).split("\n", 1)[0]
            raise HarchosError(f"no credentials for Azure: {first}", hint="az login") from None
        url = path if path.startswith(self._base) else f"{self._base}/{path}"
        separator = {} if "?" in path else {"params": {"api-version": _VERSION}}
        return self._http.request(
            method, url, json=body, headers={"Authorization": f"Bearer {token}"}, **separator
        )

    def _refused(self, method: str, path: str, answer: Any) -> _RefusedError:
        try:
            said = answer.json()["error"]
            inner = said.get("innererror") or {}
            words = f"{inner.get('code') or said.get('code')}: {said.get('message')}"
        except (ValueError, KeyError, TypeError, AttributeError):
            words = answer.reason_phrase
        return _RefusedError(
            f"key vault {self.vault} refused {method} {path}: {words} ({answer.status_code})",
            answer.status_code,
        )


class _RefusedError(HarchosError):
    def __init__(self, what: str, status: int) -> None:
        hint = "docs/security.md lists what the controller must be allowed to do there"
        super().__init__(what, hint=hint)
        self.status = status

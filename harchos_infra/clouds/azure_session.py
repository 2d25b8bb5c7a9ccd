"""A signed-in session with one Azure subscription: credential, addresses, SDK clients, REST calls."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

from harchos_infra.clouds.azure_error import AzureError, explain, not_registered
from harchos_infra.errors import HarchosError
from harchos_infra.settings import Settings

_T = TypeVar("_T")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_GONE = frozenset(
    {"ResourceNotFound", "ResourceGroupNotFound", "ParentResourceNotFound", "NotFound", "SecretNotFound"}
)
BACKOFF_S = 0.8
"""Pause before the first repetition of a call; it doubles, unless Retry-After tells another."""
OPERATION_S = 900.0
"""How long a deletion may take before it counts as failed."""
POLL_S = 10.0
"""Pause between questions about a long operation, where Azure does not say."""
SUBSCRIPTIONS = "2022-12-01"


def endpoint(variable: str, usual: str) -> str:
    """Return the address of a service: `usual`, or what the environment variable puts in its place.

    AZURE_RESOURCE_MANAGER_ENDPOINT (another Azure cloud), AZURE_KEY_VAULT_ENDPOINT and
    AZURE_RETAIL_PRICES_ENDPOINT; plain HTTP is allowed to loopback only.
    """
    url = os.environ.get(variable, "").rstrip("/") or usual
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise HarchosError(f"{variable}: {url} is not an https address", hint="http is for loopback only")
    return url


class AzureSession:
    """One subscription as one principal sees it. Nothing is asked before the first call.

    Every method raises AzureError (a HarchosError with `status`, `code` and `action`).
    """

    def __init__(self, subscription: str | None = None) -> None:
        """Act on `subscription`; by default on that of the settings, else of the environment."""
        self._named = (
            subscription or Settings.load().azure_subscription or os.environ.get("AZURE_SUBSCRIPTION_ID")
        )

    @cached_property
    def subscription(self) -> str:
        """The subscription's id; the only one that the credentials see, where none is set."""
        if self._named:
            return self._named
        seen = [s["subscriptionId"] for s in self.pages("/subscriptions", SUBSCRIPTIONS)]
        if len(seen) != 1:
            raise AzureError(
                f"no Azure subscription is set; the credentials see {len(seen)}: {', '.join(seen) or '-'}",
                hint="harchos config set azure.subscription ID, or set AZURE_SUBSCRIPTION_ID",
            )
        return str(seen[0])

    @cached_property
    def compute(self) -> Any:
        """Client of azure-mgmt-compute."""
        from azure.mgmt.compute import ComputeManagementClient

        return ComputeManagementClient(self._credential, self.subscription, **self._options)

    @cached_property
    def network(self) -> Any:
        """Client of azure-mgmt-network."""
        from azure.mgmt.network import NetworkManagementClient

        return NetworkManagementClient(self._credential, self.subscription, **self._options)

    @cached_property
    def resources(self) -> Any:
        """Client of azure-mgmt-resource."""
        from azure.mgmt.resource.resources import ResourceManagementClient

        return ResourceManagementClient(self._credential, self.subscription, **self._options)

    def all(self, listing: Callable[[], Iterable[Any]]) -> list[Any]:
        """Return everything that a listing of the SDKs has, over all its pages."""
        return self._plainly(lambda: list(listing()))

    def get(self, path: str, api_version: str, **query: str) -> dict[str, Any]:
        """Return the document at a path of the resource manager."""
        return self._rest("GET", f"{self._arm}{path}", {"api-version": api_version, **query})

    def pages(self, path: str, api_version: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield every item of a listing of the resource manager, over all its pages."""
        page = self.get(path, api_version, **query)
        while True:
            yield from page.get("value", ())
            if not (following := page.get("nextLink")):
                return
            page = self._rest("GET", following, {})

    def exists(self, resource_id: str, api_version: str) -> bool:
        """Return whether a resource is there, by asking its own provider."""
        try:
            self.get(resource_id, api_version)
        except AzureError as error:
            if error.status == 404 and error.code in _GONE:
                return False
            raise
        return True

    def delete(self, resource_id: str, api_version: str) -> None:
        """Delete a resource and wait until it is gone; one that is gone already is no error."""

        def delete() -> None:
            poller = self._client.resources.begin_delete_by_id(resource_id, api_version=api_version)
            poller.wait(OPERATION_S)
            if not poller.done():
                raise AzureError(
                    f"deletion of {resource_id} is not done after {OPERATION_S:.0f} s",
                    hint="`harchos sweep` shows what is still there",
                )
            poller.result()

        try:
            self._plainly(delete)
        except AzureError as error:
            if error.code not in _GONE:
                raise

    def vault_pages(self, vault: str) -> Iterator[dict[str, Any]]:
        """Yield what a key vault tells of each of its secrets; never a value."""
        page = self._vault_call(vault, "GET", f"{vault_endpoint(vault)}/secrets", {"api-version": "7.4"})
        while True:
            yield from page.get("value", ())
            if not (following := page.get("nextLink")):
                return
            page = self._vault_call(vault, "GET", following, {})

    def vault_call(self, vault: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Make one call of a key vault; `path` is below its address."""
        url, query = f"{vault_endpoint(vault)}/{path}", {"api-version": "7.4"}
        return self._plainly(lambda: _send(self._vault_client(vault), method, url, query, body))

    def delete_secret(self, vault: str, name: str) -> None:
        """Delete a secret of a key vault; the vault keeps it recoverable for as long as it is set to."""
        try:
            self.vault_call(vault, "DELETE", f"secrets/{name}")
        except AzureError as error:
            if error.code not in _GONE:
                raise

    @property
    def _arm(self) -> str:
        return endpoint("AZURE_RESOURCE_MANAGER_ENDPOINT", "https://management.azure.com")

    @cached_property
    def _credential(self) -> Any:
        from azure.identity import DefaultAzureCredential

        logging.getLogger("azure").addHandler(logging.NullHandler())
        return DefaultAzureCredential()

    @cached_property
    def _options(self) -> dict[str, Any]:
        return {
            "base_url": self._arm,
            "credential_scopes": [f"{self._arm}/.default"],
            "polling_interval": POLL_S,
            "retry_backoff_factor": BACKOFF_S,
            "per_retry_policies": [_guard()],
        }

    @cached_property
    def _client(self) -> Any:
        """A client for paths that name their subscription themselves."""
        from azure.mgmt.resource.resources import ResourceManagementClient

        return ResourceManagementClient(self._credential, self._named or "-", **self._options)

    def _rest(self, method: str, url: str, query: dict[str, str]) -> dict[str, Any]:
        return self._plainly(lambda: _send(self._client, method, url, query))

    def _vault_call(self, vault: str, method: str, url: str, query: dict[str, str]) -> dict[str, Any]:
        return self._plainly(lambda: _send(self._vault_client(vault), method, url, query))

    def _vault_client(self, vault: str) -> Any:
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy

        policies = [
            RetryPolicy(retry_backoff_factor=BACKOFF_S),
            _guard(),
            BearerTokenCredentialPolicy(self._credential, "https://vault.azure.net/.default"),
        ]
        return PipelineClient(vault_endpoint(vault), policies=policies)

    def _plainly(self, call: Callable[[], _T]) -> _T:
        """Make a call; whatever the SDKs raise becomes an AzureError."""
        try:
            return call()
        except Exception as error:
            if (explained := explain(error, self._named or "-")) is None:
                raise
            raise explained from error


def is_physical(location: Mapping[str, Any]) -> bool:
    """Return whether a location of a subscription is a region, not a geography of several."""
    return bool(location.get("metadata", {}).get("regionType") == "Physical")


def vault_endpoint(vault: str) -> str:
    """Return the address of a key vault."""
    return endpoint("AZURE_KEY_VAULT_ENDPOINT", f"https://{vault}.vault.azure.net")


def _send(client: Any, method: str, url: str, query: dict[str, str], body: Any = None) -> dict[str, Any]:
    from azure.core.rest import HttpRequest

    answer = client.send_request(HttpRequest(method, url, params=query, json=body))
    answer.raise_for_status()
    read: dict[str, Any] = answer.json() if answer.content else {}
    return read


def _guard() -> Any:
    """Return a policy of two rules.

    Tokens may go over plain HTTP within this machine. And where a resource provider is not registered, that
    is said: the SDKs would register it by themselves, even while listing.
    """
    from azure.core.pipeline.policies import SansIOHTTPPolicy

    class _Guard(SansIOHTTPPolicy[Any, Any]):
        def on_request(self, request: Any) -> None:
            parts = urlsplit(request.http_request.url)
            if parts.hostname in _LOOPBACK:
                request.context["enforce_https"] = False
            if request.http_request.method == "POST" and parts.path.endswith("/register"):
                _, _, subscription, _, namespace, _ = parts.path.split("/")
                raise not_registered(namespace, subscription)

    return _Guard()

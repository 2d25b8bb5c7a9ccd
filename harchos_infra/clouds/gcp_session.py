"""A signed-in session with one Google Cloud project: credentials, addresses, REST calls, compute clients."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

from harchos_infra.clouds.gcp_error import GcpError, credentials_refused, no_credentials, of_body, of_sdk
from harchos_infra.errors import HarchosError
from harchos_infra.settings import Settings

_T = TypeVar("_T")
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_HOSTS = {
    "compute": "https://compute.googleapis.com",
    "iam": "https://iam.googleapis.com",
    "secretmanager": "https://secretmanager.googleapis.com",
    "cloudbilling": "https://cloudbilling.googleapis.com",
    "cloudresourcemanager": "https://cloudresourcemanager.googleapis.com",
    "storage": "https://storage.googleapis.com",
}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
ANSWER_S = 60.0
WAIT_S = 150.0
"""How long an answer about an operation may take: Google holds it back for up to two minutes."""
RETRY_FOR_S = 60.0
"""How long a call that is asked too often, or met by a fault of the server, is made again."""
FIRST_PAUSE_S = 0.5
OPERATION_S = 600.0
"""How long a deletion may take before it counts as failed."""


def endpoint(api: str) -> str:
    """Return the address of one Google API, without a path.

    `CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE` and its like, which gcloud knows too, put another in its place;
    plain HTTP is allowed to loopback only.
    """
    variable = f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}"
    url = os.environ.get(variable, "").rstrip("/").removesuffix("/compute/v1")
    if not url:
        return _HOSTS[api]
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise HarchosError(f"{variable}: {url} is not an https address", hint="http is for loopback only")
    return url


class GcpSession:
    """One project as one principal sees it. Nothing is asked before the first call.

    Every method raises GcpError (a HarchosError with `status` and `reason`).
    """

    def __init__(self, project: str | None = None) -> None:
        """Act on `project`; by default that of the setting `gcp.project`, else of the credentials."""
        self._project = project or Settings.load().gcp_project
        self._clients: dict[str, Any] = {}

    @property
    def project(self) -> str:
        """The project's id."""
        project: str | None = self._project or self._signed_in[1]
        if not project:
            raise GcpError(
                "no Google Cloud project is set",
                hint="harchos config set gcp.project PROJECT, or set GOOGLE_CLOUD_PROJECT",
            )
        return project

    @cached_property
    def principal(self) -> str:
        """Who the credentials are: an e-mail address, or `user` where they do not say."""
        credentials = self._signed_in[0]
        name = getattr(credentials, "service_account_email", "") or getattr(credentials, "account", "")
        return str(name or "user")

    @cached_property
    def _signed_in(self) -> tuple[Any, str | None]:
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
        from google.auth.transport.requests import Request

        logging.getLogger("google").addHandler(logging.NullHandler())
        credentials: Any
        try:
            with warnings.catch_warnings(action="ignore"):
                credentials, project = google.auth.default(scopes=[_SCOPE])
            credentials.refresh(Request())
        except DefaultCredentialsError as error:
            raise no_credentials(error) from error
        except GoogleAuthError as error:
            raise credentials_refused(error) from error
        return credentials, project

    @cached_property
    def _http(self) -> Any:
        from google.auth.transport import requests

        session: Any = requests.AuthorizedSession
        return session(self._signed_in[0])

    def call(
        self, method: str, api: str, path: str, *, body: Any = None, api_key: str | None = None, **query: Any
    ) -> dict[str, Any]:
        """Make one REST call; `path` begins with a version. An API key goes in place of the credentials."""
        return self._again(
            lambda: self._once(method, api, path, body=body, api_key=api_key, query=query),
            f"{api} {path}",
        )

    def pages(
        self, api: str, path: str, items: str, *, api_key: str | None = None, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield every item of a listing, over all its pages."""
        token = None
        while True:
            page = self.call("GET", api, path, api_key=api_key, **query, pageToken=token)
            yield from page.get(items, ())
            token = page.get("nextPageToken")
            if not token:
                return

    def client(self, name: str) -> Any:
        """Return a client of google-cloud-compute by the name of its class: `InstancesClient`."""
        if name not in self._clients:
            from google.cloud import compute_v1

            self._clients[name] = getattr(compute_v1, name)(
                credentials=self._signed_in[0], client_options={"api_endpoint": endpoint("compute")}
            )
        return self._clients[name]

    def compute(
        self, client: str, method: str, request: Mapping[str, Any], *, answer_s: float | None = None
    ) -> Any:
        """Call a method of a compute client that answers in one piece, within `answer_s`."""
        timeout = answer_s or ANSWER_S
        bound = getattr(self.client(client), method)
        return self._again(
            lambda: bound(request={"project": self.project, **request}, retry=None, timeout=timeout),
            f"{client}.{method}",
        )

    def compute_pages(self, client: str, method: str, request: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the pages of a listing, as google-cloud-compute types them; a partial one is an error."""
        token = ""
        while True:
            page = next(iter(self.compute(client, method, {**request, "page_token": token}).pages))
            if missing := list(getattr(page, "unreachables", ())):
                raise GcpError(
                    f"Google Cloud listed only a part ({client}): {', '.join(missing)} did not answer",
                    hint="try again in a few minutes; what is there may still be billed",
                )
            yield page
            token = page.next_page_token
            if not token:
                return

    def finish(self, operation: Any) -> None:
        """Wait until a compute operation is done; raises GcpError with its error's code as `reason`.

        The library's own poller asks the real Google whatever `api_endpoint` says, so it is not used.
        """
        until = time.monotonic() + OPERATION_S
        while operation.status != operation.Status.DONE:
            if time.monotonic() > until:
                raise GcpError(
                    f"operation {operation.name} of Google Cloud is not done after {OPERATION_S:.0f} s",
                    hint="`harchos sweep` shows what is still there",
                )
            operation = self._wait(operation)
        errors = list(operation.error.errors) if operation.error else []
        if errors:
            target = "/".join(operation.target_link.split("/")[-2:])
            raise GcpError(
                f"Google Cloud failed at {operation.operation_type} of {target}: "
                f"{errors[0].message or errors[0].code}",
                status=operation.http_error_status_code or 0,
                reason=errors[0].code,
            )

    def _wait(self, operation: Any) -> Any:
        client, place = "GlobalOperationsClient", {}
        if operation.zone:
            client, place = "ZoneOperationsClient", {"zone": operation.zone.rsplit("/", 1)[-1]}
        elif operation.region:
            client, place = "RegionOperationsClient", {"region": operation.region.rsplit("/", 1)[-1]}
        return self.compute(client, "wait", {"operation": operation.name, **place}, answer_s=WAIT_S)

    def _once(
        self, method: str, api: str, path: str, *, body: Any, api_key: str | None, query: dict[str, Any]
    ) -> dict[str, Any]:
        import requests

        http: Any = requests if api_key else self._http
        answer = http.request(
            method,
            f"{endpoint(api)}/{path}",
            params={name: value for name, value in query.items() if value is not None},
            json=body,
            headers={"X-Goog-Api-Key": api_key} if api_key else {},
            timeout=ANSWER_S,
        )
        if answer.status_code >= 400:
            project, principal = ("-", "the API key") if api_key else self._who()
            raise of_body(answer.status_code, answer.text, project, principal)
        read: dict[str, Any] = answer.json() if answer.content else {}
        return read

    def _again(self, call: Callable[[], _T], doing: str) -> _T:
        """Make a call again, with pauses that double, while the answer says that it may help."""
        until, pause_s = time.monotonic() + RETRY_FOR_S, FIRST_PAUSE_S
        while True:
            try:
                return self._plainly(call, doing)
            except GcpError as error:
                if not error.passes or time.monotonic() + pause_s > until:
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 16.0)

    def _plainly(self, call: Callable[[], _T], doing: str) -> _T:
        """Make a call; whatever the libraries raise becomes a GcpError."""
        from google.auth.exceptions import GoogleAuthError
        from requests.exceptions import RequestException

        try:
            return call()
        except GcpError:
            raise
        except GoogleAuthError as error:
            raise credentials_refused(error) from error
        except RequestException as error:
            raise GcpError(
                f"Google Cloud cannot be reached ({doing}): {error}",
                hint="check the network and the proxy settings",
                passes=True,
            ) from error
        except Exception as error:
            if (explained := of_sdk(error, *self._who())) is None:
                raise
            raise explained from error

    def _who(self) -> tuple[str, str]:
        return self._project or self._signed_in[1] or "-", self.principal

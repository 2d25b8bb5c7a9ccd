"""The object store that a mailbox's URL names: `file://`, `s3://`, `gs://` and `az://` through obstore.

| URL | credentials, first that is there | another endpoint |
|---|---|---|
| `file:///DIR` | the file system's | |
| `s3://BUCKET[/PREFIX]` | `AWS_ACCESS_KEY_ID` …, web identity, container; a profile of `~/.aws` (needs boto3); the instance's role | `AWS_ENDPOINT_URL`, `AWS_REGION` |
| `gs://BUCKET[/PREFIX]` | `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's application default; the instance's service account | `STORAGE_EMULATOR_HOST` (no credentials are sent), `GOOGLE_BASE_URL` |
| `az://ACCOUNT/CONTAINER[/PREFIX]` | `AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_CLIENT_ID` …; `az login`; the instance's identity | `AZURE_STORAGE_ENDPOINT` |

An endpoint that begins with `http://` is spoken to without TLS. A bucket of S3 is found in whatever region it
is, so that a hub may have its mailbox in another region than its own.
"""  # noqa: E501

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore

CONNECT_S = 5
QUICK_S = 20
"""Time for a small object: a connection that went dead is noticed after that."""
BULK_S = 120
"""Time for one part of a large object."""
_RETRY_S = 10
_REGION_S = 10
_AWS_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_AZURE_KEYS = (
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_CLIENT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USE_AZURE_CLI",
)
_NO_ACCOUNT = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
EXAMPLES = "file:///DIR, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://ACCOUNT/CONTAINER/PREFIX"


class UrlError(ValueError):
    """The text names no object store; says what to write."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where objects lie: a bucket, container or directory, and the prefix in it (`a/b/`, or empty)."""

    scheme: str
    account: str
    bucket: str
    prefix: str

    @classmethod
    def parse(cls, url: str) -> Place:
        """Read a mailbox's URL. Raises UrlError."""
        parts = urlsplit(url)
        path = unquote(parts.path).strip("/")
        if parts.scheme == "file":
            if parts.netloc not in ("", "localhost"):
                raise UrlError(f"mailbox {url}: a file URL names no host; write file:///path")
            return cls("file", "", unquote(parts.path), "")
        if parts.scheme not in ("s3", "gs", "az") or not parts.netloc:
            raise UrlError(f"mailbox {url!r} is not a URL of an object store; write {EXAMPLES}")
        if parts.scheme != "az":
            return cls(parts.scheme, "", parts.netloc, f"{path}/" if path else "")
        container, _, prefix = path.partition("/")
        if not container:
            raise UrlError(f"mailbox {url} names no container; write az://ACCOUNT/CONTAINER/PREFIX")
        return cls("az", parts.netloc, container, f"{prefix.strip('/')}/" if prefix.strip("/") else "")

    def __str__(self) -> str:
        """Name the bucket, as an error should."""
        return {
            "file": f"directory {self.bucket}",
            "s3": f"S3 bucket {self.bucket}",
            "gs": f"Google Cloud Storage bucket {self.bucket}",
            "az": f"container {self.bucket} of Azure storage account {self.account}",
        }[self.scheme]

    def same_store(self, other: Place) -> bool:
        """Return whether a copy between the two need not pass through this machine."""
        return (self.scheme, self.account, self.bucket) == (other.scheme, other.account, other.bucket)

    def open(self, timeout_s: float, region: str | None = None) -> ObjectStore:
        """Connect to it; `timeout_s` holds for one request. Raises UrlError, and obstore's errors."""
        from obstore.store import AzureStore, GCSStore, LocalStore, S3Store

        options: dict[str, Any] = {
            "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=_RETRY_S)},
        }
        environment = os.environ
        if self.scheme == "file":
            return LocalStore(self.bucket, mkdir=True)
        if self.scheme == "s3":
            endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
            options |= _aws_profile(environment)
            if region:
                options["region"] = region
            return S3Store(self.bucket, client_options=_client(timeout_s, endpoint), **options)
        if self.scheme == "gs":
            emulator = environment.get("STORAGE_EMULATOR_HOST")
            if emulator:
                endpoint = emulator if "://" in emulator else f"http://{emulator}"
                options["service_account_key"] = json.dumps(
                    {**_NO_ACCOUNT, "gcs_base_url": endpoint.rstrip("/")}
                )
            else:
                endpoint = environment.get("GOOGLE_BASE_URL")
            return GCSStore(self.bucket, client_options=_client(timeout_s, endpoint), **options)
        endpoint = environment.get("AZURE_STORAGE_ENDPOINT") or environment.get("AZURE_ENDPOINT")
        if not any(environment.get(key) for key in _AZURE_KEYS) and _has_azure_login(environment):
            options["use_azure_cli"] = True
        return AzureStore(
            self.bucket, account_name=self.account, client_options=_client(timeout_s, endpoint), **options
        )

    def region(self) -> str | None:
        """Ask S3 in which region the bucket is; None if it does not say. Needs no credentials."""
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        base = (endpoint or "https://s3.us-east-1.amazonaws.com").rstrip("/")
        request = urllib.request.Request(f"{base}/{self.bucket}", method="HEAD")
        opener = urllib.request.build_opener(_Stay)
        try:
            with opener.open(request, timeout=_REGION_S) as answer:
                headers = answer.headers
        except urllib.error.HTTPError as error:
            headers = error.headers
        except OSError:
            return None
        found = headers.get("x-amz-bucket-region")
        return str(found) if found else None


class _Stay(urllib.request.HTTPRedirectHandler):
    """A bucket elsewhere answers 301 with the region, which is all that is wanted."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _client(timeout_s: float, endpoint: str | None) -> ClientConfig:
    return {
        "timeout": timedelta(seconds=timeout_s),
        "connect_timeout": timedelta(seconds=CONNECT_S),
        "allow_http": bool(endpoint and endpoint.startswith("http://")),
    }


def _aws_profile(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return credentials of `~/.aws` where nothing in the environment comes before them."""
    if any(environment.get(key) for key in _AWS_KEYS):
        return {}
    files = (
        Path(environment.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")),
        Path(environment.get("AWS_CONFIG_FILE", "~/.aws/config")),
    )
    if not environment.get("AWS_PROFILE") and not any(file.expanduser().exists() for file in files):
        return {}
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        if not environment.get("AWS_PROFILE"):
            return {}  # an image may bring a configuration; the instance's role is what counts there
        raise UrlError(
            "AWS_PROFILE is set, but a profile needs boto3: pip install 'harchos-infra[aws]', "
            "or export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from None
    try:
        return {"credential_provider": Boto3CredentialProvider()}
    except ValueError:
        return {}


def _has_azure_login(environment: Mapping[str, str]) -> bool:
    directory = Path(environment.get("AZURE_CONFIG_DIR", "~/.azure")).expanduser()
    return (directory / "azureProfile.json").exists()

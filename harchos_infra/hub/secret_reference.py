"""Secrets by reference: read from the cloud's own store with the machine's identity. Standard library only.

    ssm://REGION/PATH                               AWS Systems Manager Parameter Store
    gcpsm://projects/P/secrets/S/versions/latest    Google Secret Manager
    azkv://VAULT/NAME                               Azure Key Vault

`ssm:///PATH` is read in the machine's own region. Other addresses than the clouds' own come from the
environment: `AWS_ENDPOINT_URL_SSM`, `AWS_ENDPOINT_URL`, `CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER`,
`AZURE_KEY_VAULT_ENDPOINT` (the vault's whole address).
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from harchos_infra.hub import instance

PATIENCE_S = 60.0
"""How long reading is tried: the role of a new machine may not count at once."""
_ANSWER_S = 30.0
_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 8.0
_TARGET = "AmazonSSM.GetParameter"


class SecretError(Exception):
    """A secret that cannot be read: from where, and what the store says; never a value."""


def read_secret(reference: str, *, stopped: Callable[[], bool] = lambda: False) -> str:
    """Return the value that a reference names, trying again for `PATIENCE_S` unless it is not there at all.

    Raises SecretError.
    """
    until, pause_s = time.monotonic() + PATIENCE_S, _PAUSE_S
    while True:
        try:
            return _value(reference)
        except _RefusedError as error:
            if error.is_final or time.monotonic() + pause_s > until or stopped():
                raise SecretError(f"{reference}: {error}") from None
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


class _RefusedError(Exception):
    def __init__(self, what: str, *, is_final: bool = False) -> None:
        super().__init__(what)
        self.is_final = is_final


def _value(reference: str) -> str:
    try:
        request, value = _REQUESTS[urlsplit(reference).scheme](reference)
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:
            return value(json.load(answer))
    except urllib.error.HTTPError as error:
        raise _refused(error) from None
    except (OSError, http.client.HTTPException) as error:
        raise _RefusedError(str(error) or type(error).__name__) from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise _RefusedError("the store's answer cannot be read") from None


def _parameter(reference: str) -> tuple[urllib.request.Request, Callable[[Any], str]]:
    parts = urlsplit(reference)
    region = parts.netloc or os.environ.get("AWS_REGION") or instance.aws_region()
    endpoint = os.environ.get("AWS_ENDPOINT_URL_SSM") or os.environ.get("AWS_ENDPOINT_URL")
    url = f"{(endpoint or f'https://ssm.{region}.amazonaws.com').rstrip('/')}/"
    body = json.dumps({"Name": parts.path, "WithDecryption": True}).encode()
    headers = instance.aws_signature(
        url,
        region,
        *instance.aws_credentials(),
        datetime.now(UTC),
        service="ssm",
        post=body,
        signed={"content-type": "application/x-amz-json-1.1", "x-amz-target": _TARGET},
    )
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    return request, lambda said: str(said["Parameter"]["Value"])


def _version(reference: str) -> tuple[urllib.request.Request, Callable[[Any], str]]:
    base = os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER")
    base = (base or "https://secretmanager.googleapis.com").rstrip("/")
    path = quote(reference.removeprefix("gcpsm://"), safe="/-_.")
    headers = {"Authorization": instance.gcp_bearer()}
    request = urllib.request.Request(f"{base}/v1/{path}:access", headers=headers)
    return request, lambda said: base64.b64decode(said["payload"]["data"]).decode()


def _vault_secret(reference: str) -> tuple[urllib.request.Request, Callable[[Any], str]]:
    parts = urlsplit(reference)
    base = os.environ.get("AZURE_KEY_VAULT_ENDPOINT") or f"https://{parts.netloc}.vault.azure.net"
    url = f"{base.rstrip('/')}/secrets{quote(parts.path)}?api-version=7.4"
    headers = {"Authorization": instance.azure_bearer("https://vault.azure.net")}
    return urllib.request.Request(url, headers=headers), lambda said: str(said["value"])


_REQUESTS: dict[str, Callable[[str], tuple[urllib.request.Request, Callable[[Any], str]]]] = {
    "ssm": _parameter,
    "gcpsm": _version,
    "azkv": _vault_secret,
}


def _refused(error: urllib.error.HTTPError) -> _RefusedError:
    """Return what a store said when it refused, in its own words; not what it was asked."""
    try:
        said = json.loads(error.read(4000))
        inner = said.get("error", said)
        code = said.get("__type") or inner.get("status") or inner.get("code") or ""
        message = inner.get("message") or said.get("Message") or ""
    except (OSError, ValueError, AttributeError, http.client.HTTPException):
        code = message = ""
    words = " ".join(filter(None, [str(code).rpartition("#")[2], str(message)])) or str(error.reason)
    is_missing = error.code == 404 or "ParameterNotFound" in words
    return _RefusedError(f"{words} ({error.code})", is_final=is_missing)

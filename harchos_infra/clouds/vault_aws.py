"""Secrets in AWS Systems Manager Parameter Store: `/harchos/<run>/<NAME>`, SecureString, tagged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from harchos_infra.clouds.vault import StoredSecret, expiry
from harchos_infra.errors import HarchosError

_ROOT = "/harchos/"
_MOST_BYTES = 8192


class ParameterStore:
    """The parameters of one region, encrypted by the account's own key (`alias/aws/ssm`)."""

    name = "SSM Parameter Store"

    def __init__(self, region: str) -> None:
        self.region = region

    def put(self, run: str, name: str, value: str, tags: Mapping[str, str]) -> str:
        """Store a parameter; one of more than 4 KiB takes the advanced tier, which is billed."""
        size = len(value.encode())
        if not 0 < size <= _MOST_BYTES:
            raise HarchosError(
                f"secret {name} has {size} bytes; {self.name} takes 1 to {_MOST_BYTES}",
                hint="put larger files in a bucket of your own, and their key in the secret",
            )
        path = f"{_ROOT}{run}/{name}"
        written = {
            "Name": path,
            "Value": value,
            "Type": "SecureString",
            "Tier": "Intelligent-Tiering",
        }
        marks = [{"Key": key, "Value": text} for key, text in tags.items()]
        client = self._client
        try:
            self._call(lambda: client.put_parameter(**written, Tags=marks), path)
        except _ThereError:
            self._call(lambda: client.put_parameter(**written, Overwrite=True), path)
            self._call(
                lambda: client.add_tags_to_resource(ResourceType="Parameter", ResourceId=path, Tags=marks),
                path,
            )
        return f"ssm://{self.region}{path}"

    def delete(self, reference: str) -> None:
        """Delete a parameter of this store's region."""
        path = urlsplit(reference).path
        self._call(lambda: self._client.delete_parameters(Names=[path]), path)

    def list(self, *, run: str | None = None) -> list[StoredSecret]:
        """Return our parameters, without asking for a value."""
        root = _ROOT if run is None else f"{_ROOT}{run}/"
        return [self._stored(path) for path in self._paths(root)]

    def _paths(self, root: str) -> Iterator[str]:
        filters = [{"Key": "Name", "Option": "BeginsWith", "Values": [root]}]
        token: dict[str, str] = {}
        while True:
            page = self._call(
                lambda more=token: self._client.describe_parameters(  # type: ignore[misc]
                    ParameterFilters=filters, MaxResults=50, **more
                ),
                root,
            )
            yield from (parameter["Name"] for parameter in page["Parameters"])
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}

    def _stored(self, path: str) -> StoredSecret:
        said = self._call(
            lambda: self._client.list_tags_for_resource(ResourceType="Parameter", ResourceId=path), path
        )
        tags = {tag["Key"]: tag["Value"] for tag in said["TagList"]}
        run = tags.get("harchos:run") or path.removeprefix(_ROOT).partition("/")[0]
        return StoredSecret(f"ssm://{self.region}{path}", run, expiry(tags))

    @cached_property
    def _client(self) -> Any:
        import boto3.session  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]

        retries: Any = {"mode": "standard", "total_max_attempts": 5}
        return boto3.session.Session().client("ssm", region_name=self.region, config=Config(retries=retries))

    def _call(self, call: Callable[[], Any], path: str) -> Any:
        from botocore.exceptions import (  # type: ignore[import-untyped]
            BotoCoreError,
            ClientError,
            NoCredentialsError,
        )

        try:
            return call()
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code == "ParameterAlreadyExists":
                raise _ThereError from None
            message = error.response.get("Error", {}).get("Message", "")
            raise HarchosError(
                f"{self.name} in {self.region} refused {error.operation_name} of {path}: {code}: {message}",
                hint="docs/security.md lists what the controller must be allowed to do there",
            ) from None
        except NoCredentialsError:
            raise HarchosError(
                "no credentials for AWS", hint="`aws sso login`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID"
            ) from None
        except BotoCoreError as error:
            raise HarchosError(f"{self.name} in {self.region}: {error}", hint="try again") from None


class _ThereError(Exception):
    """There is a parameter of this name already."""

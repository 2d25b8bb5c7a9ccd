"""Secrets in AWS Systems Manager Parameter Store: `/harchos/<run>/<NAME>`, SecureString, tagged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from harchos_infra.clouds.aws_session import AwsError, AwsSession
from harchos_infra.clouds.vault import StoredSecret, expiry
from harchos_infra.errors import HarchosError

_ROOT = "/harchos/"
_MOST_BYTES = 8192


class ParameterStore:
    """The parameters of one region, encrypted by the account's own key (`alias/aws/ssm`)."""

    name = "SSM Parameter Store"

    def __init__(self, region: str, session: AwsSession | None = None) -> None:
        self.region = region
        self._session = session or AwsSession()

    def put(self, run: str, name: str, value: str, tags: Mapping[str, str]) -> str:
        """Store a parameter; one of more than 4 KiB takes the advanced tier, which is billed."""
        size = len(value.encode())
        if not 0 < size <= _MOST_BYTES:
            raise HarchosError(
                f"secret {name} has {size} bytes; {self.name} takes 1 to {_MOST_BYTES}",
                hint="put larger files in a bucket of your own, and their key in the secret",
            )
        path = f"{_ROOT}{run}/{name}"
        written = {"Name": path, "Value": value, "Type": "SecureString", "Tier": "Intelligent-Tiering"}
        marks = [{"Key": key, "Value": text} for key, text in tags.items()]
        try:
            self._call("put_parameter", **written, Tags=marks)
        except AwsError as error:
            if error.code != "ParameterAlreadyExists":
                raise
            self._call("put_parameter", **written, Overwrite=True)
            self._call("add_tags_to_resource", ResourceType="Parameter", ResourceId=path, Tags=marks)
        return f"ssm://{self.region}{path}"

    def delete(self, reference: str) -> None:
        """Delete a parameter of this store's region."""
        self._call("delete_parameters", Names=[urlsplit(reference).path])

    def list(self, *, run: str | None = None) -> list[StoredSecret]:
        """Return our parameters, without asking for a value."""
        root = _ROOT if run is None else f"{_ROOT}{run}/"
        found = self._session.items(
            "ssm",
            self.region,
            "describe_parameters",
            "Parameters",
            ParameterFilters=[{"Key": "Name", "Option": "BeginsWith", "Values": [root]}],
        )
        return [self._stored(parameter["Name"]) for parameter in found]

    def _stored(self, path: str) -> StoredSecret:
        said = self._call("list_tags_for_resource", ResourceType="Parameter", ResourceId=path)
        tags = {tag["Key"]: tag["Value"] for tag in said["TagList"]}
        run = tags.get("harchos:run") or path.removeprefix(_ROOT).partition("/")[0]
        return StoredSecret(f"ssm://{self.region}{path}", run, expiry(tags))

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return self._session.call("ssm", self.region, operation, **arguments)

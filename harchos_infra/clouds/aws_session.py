"""Clients of AWS, one a service and region, and what its refusals mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any, TypeVar

from harchos_infra.errors import HarchosError

T = TypeVar("T")

POLICY_HINT = (
    "docs/clouds/aws.md has the least policy that hubs need; `harchos doctor aws` says what is missing"
)
_IN_PARALLEL = 12
_IAM_PREFIX = {"service-quotas": "servicequotas"}
_S3_ACTIONS = {"ListObjectsV2": "ListBucket", "HeadBucket": "ListBucket", "HeadObject": "GetObject"}
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_REFUSED = (
    "AuthFailure",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
)


class AwsError(HarchosError):
    """A refusal of AWS; `code` is its own word for it, empty where it was not reached."""

    def __init__(self, what: str, *, hint: str | None = None, code: str = "") -> None:
        super().__init__(what, hint=hint)
        self.code = code

    @property
    def is_denied(self) -> bool:
        """Whether a permission is missing."""
        return self.code in _DENIED


class AwsSession:
    """The credentials of the usual places (environment, profile, instance role) and clients that use them."""

    def __init__(self) -> None:
        import boto3.session  # type: ignore[import-untyped]
        import botocore.session  # type: ignore[import-untyped]

        with _translated("sts", "", ""):
            session = botocore.session.get_session()
            session.register_component("data_loader", _loader())
            self._session = boto3.session.Session(botocore_session=session)
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = Lock()

    @property
    def home_region(self) -> str:
        """The region of the environment or profile; what is global is asked there."""
        return str(self._session.region_name or "us-east-1")

    def call(self, service: str, region: str, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call one operation (`describe_regions`) and return its answer."""
        with _translated(service, region, operation):
            answer: dict[str, Any] = getattr(self._client(service, region), operation)(**arguments)
        return answer

    def items(self, service: str, region: str, operation: str, key: str, **arguments: Any) -> list[Any]:
        """Return what an operation lists under `key`, over all its pages."""
        with _translated(service, region, operation):
            client = self._client(service, region)
            if not client.can_paginate(operation):
                return list(getattr(client, operation)(**arguments).get(key, []))
            pages = client.get_paginator(operation).paginate(**arguments)
            return [item for page in pages for item in page.get(key, [])]

    def each_region(self, regions: Sequence[str], ask: Callable[[str], T]) -> list[T]:
        """Ask in every region at once; the answers in the order of `regions`.

        Raises AwsError with every refusal where any region refuses: half a listing proves nothing.
        """

        def attempt(region: str) -> T | AwsError:
            try:
                return ask(region)
            except AwsError as error:
                return error

        with ThreadPoolExecutor(_IN_PARALLEL) as pool:
            answers = list(pool.map(attempt, regions))
        refusals = [answer for answer in answers if isinstance(answer, AwsError)]
        if refusals:
            said = dict.fromkeys(refusal.what for refusal in refusals)
            raise AwsError("\n  ".join(said), hint=refusals[0].hint, code=refusals[0].code)
        return [answer for answer in answers if not isinstance(answer, AwsError)]

    def _client(self, service: str, region: str) -> Any:
        from botocore.config import Config  # type: ignore[import-untyped]

        with self._lock:
            if (service, region) not in self._clients:
                self._clients[service, region] = self._session.client(
                    service,
                    region_name=region,
                    config=Config(
                        retries={"mode": "standard", "total_max_attempts": 5},
                        connect_timeout=10,
                        read_timeout=60,
                        max_pool_connections=_IN_PARALLEL,
                    ),
                )
            return self._clients[service, region]


@cache
def _loader() -> Any:
    """Return what reads the descriptions of services, once a process: EC2's takes a third of a second."""
    from botocore.loaders import create_loader  # type: ignore[import-untyped]

    return create_loader()


@contextmanager
def _translated(service: str, region: str, operation: str) -> Iterator[None]:
    """Turn what boto3 raises into AwsError."""
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]

    where = f"AWS {region}".rstrip()
    try:
        yield
    except boto.ClientError as error:
        raise _refusal(error, service, where) from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError) as error:
        raise AwsError(
            f"AWS: no credentials: {error}",
            hint="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws configure`",
            code="NoCredentials",
        ) from error
    except (boto.SSOError, boto.TokenRetrievalError) as error:
        raise AwsError(f"AWS: {error}", hint="run `aws sso login`", code="ExpiredToken") from error
    except (boto.ConnectionError, boto.HTTPClientError, ResponseParserError) as error:
        raise AwsError(
            f"{where}: {service} cannot be reached for {operation}: {str(error)[:300]}",
            hint="look at the network, the proxy settings and AWS_ENDPOINT_URL",
        ) from error
    except boto.BotoCoreError as error:
        raise AwsError(f"{where}: {error}", hint="look at ~/.aws/config and the AWS_… variables") from error


def _refusal(error: Any, service: str, where: str) -> AwsError:
    detail = error.response.get("Error", {})
    code, message = str(detail.get("Code", "")), str(detail.get("Message", ""))
    action = _S3_ACTIONS.get(error.operation_name, error.operation_name)
    permission = f"{_IAM_PREFIX.get(service, service)}:{action}"
    if code in _DENIED:
        return AwsError(f"{where}: no permission for {permission}: {message}", hint=POLICY_HINT, code=code)
    if code in _EXPIRED:
        return AwsError(
            f"AWS: the credentials have expired: {message}",
            hint="get new ones (`aws sso login`, or a new session token) and run the command again",
            code=code,
        )
    if code in _REFUSED:
        return AwsError(
            f"{where}: the credentials are refused ({code}): {message}",
            hint="`aws sts get-caller-identity` shows who they are of; a region must be enabled to take them",
            code=code,
        )
    return AwsError(f"{where}: {permission} failed: {code}: {message}", code=code)

"""What an object store's failure means, where it is, and what to do next."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harchos_infra.hub.object_store import Place, UrlError

_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "ResourceNotFound")
_ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
_SKEWED = ("RequestTimeTooSkewed", "RequestExpired")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired")
_WRONG_KEY = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthenticationFailed", "InvalidToken")
_SKEW_TEXTS = ("Request date header too old", "not within the allowed time")
_MAKE = {
    "s3": "create it (aws s3 mb s3://{0}) or correct the mailbox's URL",
    "gs": "create it (gcloud storage buckets create gs://{0}) or correct the mailbox's URL",
    "az": "create it (az storage container create --name {0}) or correct the mailbox's URL",
}
_ALLOW = {
    "s3": "allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket on {0} to this identity",
    "gs": "grant roles/storage.objectUser on gs://{0} to this identity",
    "az": "grant the role Storage Blob Data Contributor on {0} to this identity",
}
_IDENTIFY = {
    "s3": "export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; on EC2, give it a role",
    "gs": "run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS",
    "az": "run az login, or set AZURE_STORAGE_ACCOUNT_KEY",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """`transient`: the same may succeed later; `missing`: there is no such object."""

    what: str
    hint: str | None = None
    transient: bool = False
    missing: bool = False
    region_is_wrong: bool = False


def explain(error: Exception, place: Place) -> Failure:
    """Read obstore's error, by the store's own code where it gives one."""
    text = str(error)
    code = _found(r"<Code>(\w+)</Code>", text) or _found(r"\bcode: (\w+)", text)
    status = _found(r"status code: (\d{3})", text)
    if code in _NO_BUCKET:
        return Failure(f"there is no {place}", _hint(_MAKE, place))
    if isinstance(error, FileNotFoundError):
        return Failure(first_line(error), missing=True)
    if "incorrectly configured region" in text or code in _ELSEWHERE:
        return Failure(
            f"{place} is in another region than the one asked",
            "set AWS_REGION to the bucket's region, or AWS_ENDPOINT_URL to its server",
            region_is_wrong=place.scheme == "s3",
        )
    return _refused(error, text, code, status, place) or _unreachable(error, text, status, place)


def _refused(error: Exception, text: str, code: str, status: str, place: Place) -> Failure | None:
    kind = type(error).__name__
    if code in _SKEWED or any(words in text for words in _SKEW_TEXTS):
        return Failure(
            f"{place} refuses the request because this machine's clock is wrong ({code or status})",
            "set the clock (timedatectl set-ntp true) and try again",
        )
    if code in _EXPIRED:
        return Failure(
            f"the credentials for {place} have expired ({code})", "renew them; " + _hint(_IDENTIFY, place)
        )
    if code in _WRONG_KEY:
        return Failure(f"{place} does not know these credentials ({code})", _hint(_IDENTIFY, place))
    if kind == "UnauthenticatedError" or status == "401":
        return Failure(
            f"{place} does not accept the credentials: they are missing or have expired ({code or status})",
            _hint(_IDENTIFY, place),
        )
    if (kind == "PermissionDeniedError" and place.scheme != "file") or code == "AccessDenied":
        return Failure(f"access to {place} is denied ({code or status})", _hint(_ALLOW, place))
    of_this_machine = isinstance(error, OSError) and error.errno is not None
    if (
        of_this_machine
        or isinstance(error, UrlError | ValueError)
        or kind in ("InvalidPathError", "NotSupportedError")
    ):
        return Failure(first_line(error))
    return None


def _unreachable(error: Exception, text: str, status: str, place: Place) -> Failure:
    if place.scheme == "file":
        return Failure(first_line(error), transient=True)
    if _asks_for_identity(text):
        return Failure(
            f"no credentials for {place} were found, and no machine identity answers",
            _hint(_IDENTIFY, place),
            transient=True,
        )
    if "dns error" in text:
        return Failure(
            f"the server of {place} cannot be found by name", "check the name and the network", transient=True
        )
    if status in ("429", "503"):
        return Failure(f"{place} is overloaded (HTTP {status})", "try again later", transient=True)
    if status:
        return Failure(first_line(error), transient=status in ("408", "409", "412") or status >= "500")
    if "error sending request" in text:
        return Failure(f"{place} does not answer", "check the network and the endpoint", transient=True)
    return Failure(first_line(error), transient=True)


def _asks_for_identity(text: str) -> bool:
    """Tell the metadata service's silence from the store's."""
    asked = re.search(r"Error performing (?:GET|PUT|POST) (http\S+)", text)
    return "token request" in text or bool(
        asked and re.match(r"http://(169\.254\.|metadata\.google)|\S*/latest/api/token", asked.group(1))
    )


def _hint(hints: dict[str, str], place: Place) -> str:
    return hints.get(place.scheme, "").format(place.bucket)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match.group(1) if match else ""


def first_line(error: Exception) -> str:
    """Return the message without the dump that obstore adds."""
    return re.sub(r"\s+", " ", str(error).split("\n\nDebug source")[0]).strip() or type(error).__name__

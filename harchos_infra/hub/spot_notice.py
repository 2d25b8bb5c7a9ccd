"""The cloud's word that it takes this machine back, from the metadata service on its link-local address.

EC2 says so two minutes ahead (`spot/instance-action`, read with an IMDSv2 token), Azure half a minute at
least (a scheduled event `Preempt` that names this machine), Google half a minute at most (`preempted`).
`HARCHOS_METADATA` is another address of the service, as `http://127.0.0.1:8169`.
"""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

from harchos_infra.hub.status import now

PERIOD_S = 2.0
_ADDRESS = "http://169.254.169.254"
_TIMEOUT_S = 5.0
_TOKEN_S = 21600
_GOOGLE_S = 30.0
_LONGEST_S = 900.0
_AZURE_VERSION = "2020-07-01"
_AZURE_NAME_VERSION = "2021-02-01"


@dataclass(frozen=True, slots=True)
class Notice:
    """Why the machine goes, and when at the latest on the monotonic clock (s)."""

    why: str
    until: float

    def left_s(self) -> float:
        """Return the seconds that are left, 0 when it is overdue."""
        return max(0.0, self.until - time.monotonic())


class SpotNotice:
    """Asks the metadata service of `aws`, `gcp` or `azure` every `period_s` until there is a notice.

    A service that does not answer gives no notice; the first failure of a row is written to the agent's log.
    """

    def __init__(self, cloud: str, period_s: float = PERIOD_S) -> None:
        asks: dict[str, Callable[[], Notice | None]] = {
            "aws": self._ask_aws,
            "gcp": self._ask_google,
            "azure": self._ask_azure,
        }
        if cloud not in asks:
            raise ValueError(f"cloud {cloud!r} has no spot notice; known are {', '.join(asks)}")
        self.notice: Notice | None = None
        self._ask = asks[cloud]
        self._period_s = period_s
        self._address = os.environ.get("HARCHOS_METADATA", _ADDRESS).rstrip("/")
        # A proxy must never see these requests, whatever the environment says.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._token: str | None = None
        self._name: str | None = None
        self._silent = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="spot-notice", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._closed.set()
        self._thread.join(_TIMEOUT_S)

    def _look_on(self) -> None:
        while self.notice is None and not self._closed.is_set():
            self._look()
            self._closed.wait(self._period_s)

    def _look(self) -> None:
        try:
            self.notice = self._ask()
            self._silent = False
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if not self._silent:
                print(
                    f"{now()} spot notice: {self._address} does not answer as expected: {error}", flush=True
                )
            self._silent = True

    def _ask_aws(self) -> Notice | None:
        if self._token is None:
            header = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_S)}
            self._token = self._request("/latest/api/token", header, method="PUT")[0].strip()
        try:
            body, date = self._request(
                "/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": self._token}
            )
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            if error.code == 401:
                self._token = None
            raise
        action = json.loads(body)
        why = f"AWS takes this spot instance back ({action['action']} at {action['time']})"
        return _notice(why, datetime.fromisoformat(action["time"]), date)

    def _ask_google(self) -> Notice | None:
        body, _ = self._request("/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"})
        if body.strip().upper() != "TRUE":
            return None
        return Notice("Google Cloud takes this spot instance back", time.monotonic() + _GOOGLE_S)

    def _ask_azure(self) -> Notice | None:
        header = {"Metadata": "true"}
        body, date = self._request(f"/metadata/scheduledevents?api-version={_AZURE_VERSION}", header)
        for event in json.loads(body)["Events"]:
            if event["EventType"] == "Preempt" and self._azure_name() in event["Resources"]:
                begins = event.get("NotBefore")
                when = parsedate_to_datetime(begins) if begins else date
                return _notice(f"Azure takes this spot machine back at {begins or 'once'}", when, date)
        return None

    def _azure_name(self) -> str:
        """Return this machine's name: a scale set's machines see each other's events."""
        if self._name is None:
            path = f"/metadata/instance/compute/name?api-version={_AZURE_NAME_VERSION}&format=text"
            self._name = self._request(path, {"Metadata": "true"})[0].strip()
        return self._name

    def _request(self, path: str, headers: Mapping[str, str], method: str = "GET") -> tuple[str, datetime]:
        """Return the answer's text and the service's own time."""
        request = urllib.request.Request(self._address + path, headers=dict(headers), method=method)
        with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
            return answer.read().decode(), _date(answer.headers)


def _notice(why: str, when: datetime, date: datetime) -> Notice:
    """Count the time left by the service's clock: this machine's may be wrong."""
    left_s = (_aware(when) - date).total_seconds()
    return Notice(why, time.monotonic() + min(max(left_s, 0.0), _LONGEST_S))


def _date(headers: Message[Any, Any]) -> datetime:
    try:
        return _aware(parsedate_to_datetime(str(headers["Date"])))
    except (TypeError, ValueError):
        return datetime.now(UTC)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

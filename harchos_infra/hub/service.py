"""A service on this machine: is it healthy, and how many tokens has it served."""

from __future__ import annotations

import re
import socket

from harchos_infra.hub.job import Service

HOST = "127.0.0.1"
_TIMEOUT_S = 2.0
_METRICS_BYTES = 8 << 20
_TOKENS = re.compile(
    r"^[A-Za-z0-9_:]*(?:prompt|generation)_tokens_total(?:\{.*\})?\s+([0-9.eE+-]+)(?:\s+-?\d+)?\s*$",
    re.MULTILINE,
)


def endpoint(service: Service) -> str:
    """Return the URL of the service."""
    return f"http://{HOST}:{service.port}"


def port_taken(service: Service) -> bool:
    """Return whether something answers on the port already."""
    try:
        with socket.create_connection((HOST, service.port), timeout=_TIMEOUT_S):
            return True
    except OSError:
        return False


def healthy(service: Service) -> bool:
    """Return whether the health path answers 2xx; without a path, whether the port accepts."""
    if service.health_path is None:
        return port_taken(service)
    return _get(service, service.health_path) is not None


def tokens(service: Service) -> float | None:
    """Return the tokens served so far, from `/metrics`; None where there is no such counter."""
    body = _get(service, "/metrics")
    return None if body is None else sum_tokens(body.decode(errors="replace"))


class Tokens:
    """Tokens over all attempts: a service that starts again counts from 0."""

    def __init__(self) -> None:
        self._before = 0.0
        self._last: float | None = None

    def total(self, counted: float | None) -> float | None:
        """Take what the service has counted (None: no answer); return the sum, None if it never counted."""
        if counted is not None:
            if self._last is not None and counted < self._last:
                self._before += self._last
            self._last = counted
        return None if self._last is None else self._before + self._last


def sum_tokens(text: str) -> float | None:
    """Sum the token counters of a Prometheus text; None if it has none."""
    values = [float(value) for value in _TOKENS.findall(text)]
    return sum(values) if values else None


def _get(service: Service, path: str) -> bytes | None:
    """Return the body of an answer with a status of 2xx; None for any other, and for none."""
    import http.client

    connection = http.client.HTTPConnection(HOST, service.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/" + path.lstrip("/"))
        answer = connection.getresponse()
        body = answer.read(_METRICS_BYTES)
        return body if 200 <= answer.status < 300 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()

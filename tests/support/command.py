"""Types of the fixtures that run a command in this process."""

from __future__ import annotations

from collections.abc import Callable

Harchos = Callable[..., tuple[int, str, str]]
"""Runs `harchos` with the arguments given; returns exit code, standard output and standard error."""
Document = Callable[..., str]
"""Writes a batch workload with more of its spec, as YAML; returns the path."""

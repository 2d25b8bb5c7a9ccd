"""What became of a trial."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Result:
    """The faults that one trial met, what was found wrong, and how long recovering took."""

    number: int
    way: str
    faults: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    recovered_s: list[tuple[str, float]] = field(default_factory=list)
    hubs: int = 0
    took_s: float = 0.0

    @property
    def good(self) -> bool:
        """Whether nothing is wrong, left or done twice."""
        return not (self.wrong or self.leaks or self.duplicates)

"""Power samples as objects `power/00000001.jsonl` …: contiguous intervals while the agent lives."""

from __future__ import annotations

import json
import threading
import time

from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.meters import Channel
from harchos_infra.hub.patience import Patience
from harchos_infra.hub.series import Series
from harchos_infra.hub.status import now

_UPLOAD_S = 5.0


class PowerSampler:
    """Steps the meters each `sample_s` and uploads the lines; a line is `seconds` ending at `at`.

    `basis` is `measured` only where GPU and CPU both are; `by` names what each figure comes from.
    """

    def __init__(self, mailbox: Mailbox, gpu: Channel, cpu: Channel, sample_s: float) -> None:
        self._gpu = gpu
        self._cpu = cpu
        self._sample_s = max(0.1, sample_s)
        self._lines: list[str] = []
        self._series = Series(mailbox, "power", ".jsonl")
        self._chunk = b""
        """Lines that are not known to be stored; they are tried again as they are."""
        self._last_at = self._last_upload = time.monotonic()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._sample_on, name="power", daemon=True)
        self._thread.start()

    def close(self, patience: Patience) -> None:
        """Take the last sample and upload it."""
        self._closed.set()
        self._thread.join()
        while not self._upload() and patience.wait():
            pass

    def _sample_on(self) -> None:
        while not self._closed.wait(self._sample_s):
            self._sample()
            if time.monotonic() - self._last_upload >= _UPLOAD_S:
                self._upload()
        self._sample()

    def _sample(self) -> None:
        gpu_joules, gpu_basis, gpu_by = self._gpu.step()
        cpu_joules, cpu_basis, cpu_by = self._cpu.step()
        last, self._last_at = self._last_at, time.monotonic()
        line = {
            "at": now(),
            "seconds": round(self._last_at - last, 6),
            "joules": round(gpu_joules + cpu_joules, 6),
            "gpu_joules": round(gpu_joules, 6),
            "cpu_joules": round(cpu_joules, 6),
            "basis": "measured" if gpu_basis == cpu_basis == "measured" else "modelled",
            "by": "+".join(filter(None, (gpu_by, cpu_by))),
        }
        self._lines.append(json.dumps(line))

    def _upload(self) -> bool:
        """Write the lines; what fails is kept for the next time."""
        self._last_upload = time.monotonic()
        while self._chunk or self._lines:
            if not self._chunk:
                self._chunk = ("\n".join(self._lines) + "\n").encode()
                self._lines.clear()
            try:
                self._series.append(self._chunk)
            except MailboxError:
                return False
            self._chunk = b""
        return True

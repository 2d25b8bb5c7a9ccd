"""A virtual machine that boots a hub's user-data under qemu: what a rented machine does with it.

`scripts/setup_vm.sh` builds its disk and kernel. Its network is closed but for what the test serves on
127.0.0.1 of this machine: the metadata service, the object store and the cloud's own interface.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

METADATA, STORE, MANAGEMENT = "169.254.169.254", "169.254.0.3", "169.254.0.4"
"""Where the guest finds what the test serves, on port 80."""
PATIENCE_S = 900.0
POWERED_OFF = "reboot: Power down"
_NETWORK = (
    "user,id=net,restrict=on,net=169.254.0.0/16,host=169.254.0.2,dhcpstart=169.254.0.15,dns=169.254.0.5"
)
_EC2 = "ec2e1916-9099-7caf-fd21-012345abcdef"
_FIRMWARE = {"aws": f"type=1,uuid={_EC2},serial={_EC2}", "gcp": "type=1,product=Google Compute Engine"}
"""What makes cloud-init ask a cloud's metadata service for user-data, as the cloud's own firmware does."""


def cache() -> Path:
    """Return where `scripts/setup_vm.sh` puts the machine."""
    return Path(os.environ.get("HARCHOS_VM_CACHE") or Path.home() / ".cache" / "harchos-vm")


def missing() -> str | None:
    """Return what keeps the machine from being booted here; None: nothing."""
    tools = [tool for tool in ("qemu-system-x86_64", "genisoimage", "socat") if not shutil.which(tool)]
    if tools:
        return f"no {', '.join(tools)} on PATH: run scripts/setup_vm.sh"
    return None if (cache() / "recipe").exists() else f"no machine in {cache()}: run scripts/setup_vm.sh"


def schema_errors(user_data: str) -> str:
    """Return what the guest's cloud-init has against a user-data text; empty: nothing."""
    place = cache() / "root" / "tmp" / f"user-data-{os.getpid()}"
    place.write_text(user_data)
    try:
        done = subprocess.run(
            ["chroot", cache() / "root", "cloud-init", "schema", "--config-file", f"/tmp/{place.name}"],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        place.unlink()
    return "" if done.returncode == 0 else done.stdout + done.stderr


class Machine:
    """One machine with a folder of its own; `ports` are those of this machine that it reaches, by address."""

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        self._folder = folder
        self._network = _NETWORK + "".join(
            f",guestfwd=tcp:{address}:80-cmd:{self._forward(address, port)}"
            for address, port in ports.items()
        )
        self._console = folder / "console.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._since = 0.0

    def boot(self, user_data: str, cloud: str | None = None) -> None:
        """Start with user-data on a disk, or as a machine of a cloud (`aws`, `gcp`) that asks for it."""
        if cloud:
            source = ["-smbios", _FIRMWARE[cloud]]
        else:
            image = f"file={self._seed(user_data)},if=none,id=seed,format=raw,readonly=on"
            source = ["-drive", image, "-device", "nvme,drive=seed,serial=seed"]
        self._since = time.monotonic()
        with (self._folder / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,tb-size=512"),
                    *("-cpu", "max", "-smp", "1", "-m", "1024", "-display", "none", "-nodefaults"),
                    *("-serial", f"file:{self._console}", "-kernel", str(cache() / "vmlinuz"), "-append"),
                    "root=/dev/nvme0n1 rootfstype=ext4 rw console=ttyS0 mitigations=off panic=1",
                    *("-drive", f"file={cache() / 'root.img'},if=none,id=root,format=raw,snapshot=on"),
                    *("-device", "nvme,drive=root,serial=root", "-netdev", self._network),
                    *("-device", "virtio-net-pci,netdev=net,romfile=,addr=0x10"),
                    *source,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def console(self) -> str:
        """Return what the machine has written to its serial line so far."""
        return self._console.read_text(errors="replace") if self._console.exists() else ""

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until it holds while the machine runs; one that waits in vain says for what."""
        assert self._process is not None
        while not condition():
            over = self._process.poll() is not None
            if (over and not condition()) or time.monotonic() - self._since > PATIENCE_S:
                raise AssertionError(f"{what} did not come; the console ends:\n{self.console()[-6000:]}")
            time.sleep(0.2)

    def wait_for_power_off(self) -> None:
        """Wait until the machine has powered itself off; that qemu ended would prove nothing."""
        assert self._process is not None
        self.wait(lambda: POWERED_OFF in self.console(), POWERED_OFF)
        self._process.wait(PATIENCE_S)

    def end(self) -> None:
        """Pull the plug if it still runs."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def _forward(self, address: str, port: int) -> Path:
        script = self._folder / f"to-{address}"
        script.write_text(f"#!/bin/sh\nexec socat - TCP:127.0.0.1:{port}\n")
        script.chmod(0o755)
        return script

    def _seed(self, user_data: str) -> Path:
        seed, image = self._folder / "seed", self._folder / "seed.iso"
        seed.mkdir()
        (seed / "user-data").write_text(user_data)
        (seed / "meta-data").write_text("instance-id: boot-test\nlocal-hostname: hub\n")
        options = ["-quiet", "-output", str(image), "-volid", "cidata", "-joliet", "-rock", str(seed)]
        subprocess.run(["genisoimage", *options], check=True)
        return image

"""What is to be provisioned: one hub, for one segment of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HubSpec:
    """One hub. `directory` is `$HARCHOS_HOME/hubs/<hub>/`; all paths are absolute."""

    run: str
    hub: str
    workload: str
    provider: str
    region: str
    zone: str
    instance_type: str
    market: str
    nodes: int
    expires: datetime
    """Aware time at which the hub ends itself."""
    mailbox_url: str
    """Root of the mailbox; the hub uses `<root>/<run>/<hub>/`."""
    directory: Path
    agent: Path
    """The agent's zipapp."""
    python: Path
    """Interpreter that runs the agent on a local hub; it must have obstore."""
    rehearsal: bool = False
    """A local stand-in takes the place of the hub, whatever its provider."""
    ready_timeout_s: float = 60.0
    """How long the first heartbeat may take."""
    stop_grace_s: float = 30.0
    """What the job gets between the polite signal and the final one."""
    account: str | None = None
    """Where the hub is made and paid: AWS account number, Google project, Azure subscription."""
    availability_zone: str | None = None
    """`eu-north-1a`, `europe-west4-b`, `1`; None: the cloud chooses."""
    disk_gib: int = 100
    """Size of each node's disk."""
    ingress: tuple[tuple[int, tuple[str, ...]], ...] = ()
    """Ports that the workload exposes, each with the CIDR ranges that may reach it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment of the agent. It lies in the state and on the machine: no secrets."""
    max_price_usd_hour: float | None = None
    """The most that a node on the spot market may cost; None: up to the on-demand price."""
    image: str | None = None
    """Machine image; None: the module looks the cloud's GPU image up."""
    secret_names: tuple[str, ...] = ()
    """Secrets of the run that the hub's identity may read; their values are never here."""
    key_vault: str | None = None
    """On Azure, the vault that they are in."""

    @property
    def cloud(self) -> str:
        """Name of the cloud on which the hub's resources really are."""
        return "local" if self.rehearsal else self.provider

    @property
    def workspace(self) -> Path:
        """Terraform's working directory, with the state."""
        return self.directory / "terraform"

    @property
    def machine(self) -> Path:
        """The local hub's own directory."""
        return self.directory / "machine"

    @property
    def expires_utc(self) -> str:
        """Expiry in RFC 3339, UTC, to the second."""
        return self.expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def tags(self) -> dict[str, str]:
        """What every resource of the hub carries, so that it can be found without our records."""
        return {
            "harchos:run": self.run,
            "harchos:hub": self.hub,
            "harchos:expires": self.expires_utc,
            "harchos:workload": self.workload,
        }

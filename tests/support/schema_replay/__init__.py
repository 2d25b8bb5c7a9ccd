"""Real Terraform against the genuine schemas of aws, google and azurerm, offline (README.md)."""

from support.schema_replay.fault import Fault
from support.schema_replay.replay import Replay
from support.schema_replay.world import Call, Existing, World

__all__ = ["Call", "Existing", "Fault", "Replay", "World"]

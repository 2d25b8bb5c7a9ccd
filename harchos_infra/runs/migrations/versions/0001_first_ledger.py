"""The first ledger: runs, hubs, operations, events, measurements."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "run",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("workload", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("segments", sa.JSON, nullable=False),
        sa.Column("plan_hash", sa.String, nullable=False, index=True),
        sa.Column("workload_hash", sa.String, nullable=False, index=True),
        sa.Column("rehearsal", sa.Boolean, nullable=False),
        sa.Column("schedule_offset_s", sa.Float, nullable=False),
        sa.Column("signal", sa.String),
        sa.Column("ttl_s", sa.Float, nullable=False),
        sa.Column("phase", sa.String, nullable=False, index=True),
        sa.Column("desired", sa.String, nullable=False),
        sa.Column("outcome", sa.String),
        sa.Column("reason", sa.String),
        sa.Column("next_at", sa.Float, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("finished_at", sa.Float),
        sa.Column("owner", sa.String),
        sa.Column("until", sa.Float, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("intensities", sa.JSON, nullable=False),
        sa.Column("units", sa.JSON, nullable=False),
        sa.Column("outputs", sa.JSON, nullable=False),
    )
    op.create_table(
        "plan",
        sa.Column("run", sa.String, sa.ForeignKey("run.id"), primary_key=True),
        sa.Column("document", sa.JSON, nullable=False),
    )
    op.create_table(
        "hub",
        sa.Column("hub", sa.String, primary_key=True),
        sa.Column("run", sa.String, sa.ForeignKey("run.id"), nullable=False, index=True),
        sa.Column("segment", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("identity", sa.String, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("gone_at", sa.Float),
    )
    op.create_table(
        "op",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run", sa.String, sa.ForeignKey("run.id"), nullable=False, index=True),
        sa.Column("phase", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("intent", sa.JSON, nullable=False),
        sa.Column("outcome", sa.JSON),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("finished_at", sa.Float),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run", sa.String, sa.ForeignKey("run.id"), nullable=False, index=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("detail", sa.String, nullable=False),
    )
    op.create_table(
        "measurement",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("hub", sa.String, sa.ForeignKey("hub.hub"), nullable=False, index=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("joules", sa.Float, nullable=False),
        sa.Column("basis", sa.String, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.UniqueConstraint("hub", "at", name="measurement_once"),
    )

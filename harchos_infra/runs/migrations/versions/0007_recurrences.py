"""Recurring workloads with their occurrences; rejected candidates, once for all runs of a plan."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Plans of before keep their rejected candidates in their own document."""
    op.create_table(
        "rejected",
        sa.Column("plan_hash", sa.String, primary_key=True),
        sa.Column("packed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "recurrence",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("workload", sa.String, nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
        sa.Column("source", sa.JSON, nullable=False),
        sa.Column("signal", sa.String),
        sa.Column("policy", sa.JSON),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("next_tick", sa.Float, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("ended_at", sa.Float),
    )
    live = sa.text("ended_at IS NULL")
    op.create_index(
        "recurrence_live", "recurrence", ["workload"], unique=True, sqlite_where=live, postgresql_where=live
    )
    op.create_table(
        "occurrence",
        sa.Column("recurrence", sa.String, sa.ForeignKey("recurrence.id"), primary_key=True),
        sa.Column("tick", sa.Float, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("detail", sa.String, nullable=False),
        sa.Column("run", sa.String, sa.ForeignKey("run.id")),
        sa.Column("at", sa.Float, nullable=False),
    )
    with op.batch_alter_table("event") as event:
        event.alter_column("run", existing_type=sa.String, nullable=True)
        event.add_column(sa.Column("recurrence", sa.String))
        event.create_foreign_key("event_recurrence", "recurrence", ["recurrence"], ["id"])
        event.create_index("ix_event_recurrence", ["recurrence"])

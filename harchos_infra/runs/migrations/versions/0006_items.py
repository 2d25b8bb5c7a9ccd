"""Queues of items that several runs share."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """No run of before has a queue."""
    op.create_table(
        "queue",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_table(
        "item",
        sa.Column("queue", sa.String, sa.ForeignKey("queue.id"), primary_key=True),
        sa.Column("index", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("run", sa.String, sa.ForeignKey("run.id")),
        sa.Column("hub", sa.String, sa.ForeignKey("hub.hub")),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("exit_code", sa.Integer),
    )
    op.create_index("item_state", "item", ["queue", "state", "index"])
    op.create_index("ix_item_hub", "item", ["hub"])
    op.add_column("run", sa.Column("queue", sa.String))
    op.create_index("ix_run_queue", "run", ["queue"])

"""Controllers: owners with one lease for all their runs, places in queues, what was told and read."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """A lease of before ends with this: its owner is one of an older version, and is taken for dead."""
    op.create_table(
        "owner",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
    )
    op.create_table(
        "slot",
        sa.Column("run", sa.String, sa.ForeignKey("run.id"), primary_key=True),
        sa.Column("provider", sa.String, nullable=False),
    )
    op.create_table(
        "cursor",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("event", sa.Integer, nullable=False),
        sa.Column("owner", sa.String),
    )
    op.add_column("run", sa.Column("priority", sa.Integer, nullable=False, server_default="0"))
    op.drop_column("run", "until")
    op.add_column("hub", sa.Column("power_read", sa.Integer, nullable=False, server_default="0"))
    unfinished = sa.text("phase <> 'done'")
    op.create_index(
        "run_unfinished",
        "run",
        ["owner", "desired"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
    alive = sa.text("gone_at IS NULL")
    op.create_index("hub_alive", "hub", ["run"], sqlite_where=alive, postgresql_where=alive)

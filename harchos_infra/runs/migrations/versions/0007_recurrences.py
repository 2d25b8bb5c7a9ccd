"""Rejected candidates, once for all runs of a plan."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0004"


def upgrade() -> None:
    """Plans of before keep theirs in their own document."""
    op.create_table(
        "rejected",
        sa.Column("plan_hash", sa.String, primary_key=True),
        sa.Column("packed", sa.LargeBinary, nullable=False),
    )

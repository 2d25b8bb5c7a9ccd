"""Hubs of several nodes: whose a measurement is, and how far each node's power was read."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Hubs of before have one node, whose number is 0."""
    with op.batch_alter_table("measurement") as table:
        table.add_column(sa.Column("node", sa.Integer, nullable=False, server_default="0"))
        table.drop_constraint("measurement_once", type_="unique")
        table.create_unique_constraint("measurement_once", ["hub", "node", "at"])
    op.add_column("hub", sa.Column("powers_read", sa.JSON, nullable=False, server_default="[]"))
    db = op.get_bind()
    for hub, read in db.execute(sa.text("SELECT hub, power_read FROM hub")).all():
        db.execute(
            sa.text("UPDATE hub SET powers_read = :read WHERE hub = :hub"),
            {"read": json.dumps([read]), "hub": hub},
        )
    op.drop_column("hub", "power_read")

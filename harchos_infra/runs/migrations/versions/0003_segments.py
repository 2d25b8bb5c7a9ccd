"""Runs of several segments: which one they are in, each hub's own place and mailbox, the job's metrics."""

import json

import sqlalchemy as sa
from alembic import op

from harchos_infra.settings import home

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Runs of before have one segment in real time, and their hubs are where that one was."""
    op.add_column("run", sa.Column("segment", sa.Integer, nullable=False, server_default="0"))
    op.add_column("run", sa.Column("speed", sa.Float, nullable=False, server_default="1.0"))
    op.add_column("run", sa.Column("interruption", sa.String))
    op.add_column("run", sa.Column("failed_offers", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("run", sa.Column("metrics", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("hub", sa.Column("place", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("hub", sa.Column("mailbox", sa.String, nullable=False, server_default=""))
    db = op.get_bind()
    hubs = db.execute(
        sa.text("SELECT hub.hub, hub.segment, run.segments FROM hub JOIN run ON run.id = hub.run")
    ).all()
    for hub, segment, segments in hubs:
        place = json.loads(segments)[segment] if isinstance(segments, str) else segments[segment]
        db.execute(
            sa.text("UPDATE hub SET place = :place, mailbox = :mailbox WHERE hub = :hub"),
            {"place": json.dumps(place), "mailbox": (home() / "mailbox").as_uri(), "hub": hub},
        )

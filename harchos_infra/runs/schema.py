"""The ledger's tables (SQLAlchemy Core). A change here needs a migration in `runs/migrations/versions`.

Times are UTC seconds since 1970 as floats; JSON columns hold plain documents, never pickles.
The plan has a table of its own: SQLite writes a whole row at each change of it.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

metadata = MetaData()

run = Table(
    "run",
    metadata,
    Column("id", String, primary_key=True),
    Column("workload", String, nullable=False),
    Column("type", String, nullable=False),
    Column("segments", JSON, nullable=False),
    Column("segment", Integer, nullable=False),
    Column("interruption", String),
    Column("failed_offers", JSON, nullable=False),
    Column("plan_hash", String, nullable=False, index=True),
    Column("workload_hash", String, nullable=False, index=True),
    Column("rehearsal", Boolean, nullable=False),
    Column("schedule_offset_s", Float, nullable=False),
    Column("speed", Float, nullable=False),
    Column("signal", String),
    Column("ttl_s", Float, nullable=False),
    Column("phase", String, nullable=False, index=True),
    Column("desired", String, nullable=False),
    Column("outcome", String),
    Column("reason", String),
    Column("next_at", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("owner", String),
    Column("epoch", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("work", String),
    Column("planned_at", Float),
    Column("intensities", JSON, nullable=False),
    Column("units", JSON, nullable=False),
    Column("outputs", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("queue", String, index=True),
)

UNFINISHED = text("phase <> 'done'")
"""A controller asks twice a second, so that it must not look through every run that has ended."""
Index("run_unfinished", run.c.owner, run.c.desired, sqlite_where=UNFINISHED, postgresql_where=UNFINISHED)

owner = Table(
    "owner",
    metadata,
    Column("name", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("since", Float, nullable=False),
    Column("until", Float, nullable=False),
)

slot = Table(
    "slot",
    metadata,
    Column("run", String, ForeignKey("run.id"), primary_key=True),
    Column("provider", String, nullable=False),
)

cursor = Table(
    "cursor",
    metadata,
    Column("name", String, primary_key=True),
    Column("event", Integer, nullable=False),
    Column("owner", String),
)

plan = Table(
    "plan",
    metadata,
    Column("run", String, ForeignKey("run.id"), primary_key=True),
    Column("document", JSON, nullable=False),
)

rejected = Table(
    "rejected",
    metadata,
    Column("plan_hash", String, primary_key=True),
    Column("packed", LargeBinary, nullable=False),
)

hub = Table(
    "hub",
    metadata,
    Column("hub", String, primary_key=True),
    Column("run", String, ForeignKey("run.id"), nullable=False, index=True),
    Column("segment", Integer, nullable=False),
    Column("place", JSON, nullable=False),
    Column("mailbox", String, nullable=False),
    Column("state", String, nullable=False),
    Column("identity", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("gone_at", Float),
    Column("powers_read", JSON, nullable=False, server_default="[]"),
    Column("job_started_at", Float),
    Column("job_finished_at", Float),
    Column("metered_s", Float),
    Column("measured_s", Float),
    Column("measured_joules", Float),
    Column("gpu_measured_s", Float),
    Column("gpu_measured_joules", Float),
    Column("meters", String),
)

ALIVE = text("gone_at IS NULL")
Index("hub_alive", hub.c.run, sqlite_where=ALIVE, postgresql_where=ALIVE)

recurrence = Table(
    "recurrence",
    metadata,
    Column("id", String, primary_key=True),
    Column("workload", String, nullable=False),
    Column("document", JSON, nullable=False),
    Column("source", JSON, nullable=False),
    Column("signal", String),
    Column("policy", JSON),
    Column("priority", Integer, nullable=False),
    Column("next_tick", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("ended_at", Float),
)

LIVE = text("ended_at IS NULL")
Index("recurrence_live", recurrence.c.workload, unique=True, sqlite_where=LIVE, postgresql_where=LIVE)

occurrence = Table(
    "occurrence",
    metadata,
    Column("recurrence", String, ForeignKey("recurrence.id"), primary_key=True),
    Column("tick", Float, primary_key=True),
    Column("state", String, nullable=False),
    Column("detail", String, nullable=False),
    Column("run", String, ForeignKey("run.id")),
    Column("at", Float, nullable=False),
)

queue = Table(
    "queue",
    metadata,
    Column("id", String, primary_key=True),
    Column("created_at", Float, nullable=False),
)

item = Table(
    "item",
    metadata,
    Column("queue", String, ForeignKey("queue.id"), primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("state", String, nullable=False),
    Column("run", String, ForeignKey("run.id")),
    Column("hub", String, ForeignKey("hub.hub"), index=True),
    Column("attempts", Integer, nullable=False),
    Column("exit_code", Integer),
    Index("item_state", "queue", "state", "index"),
)
"""An item is `waiting`, `assigned` to a hub, `done` there or `failed`."""

op = Table(
    "op",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String, ForeignKey("run.id"), nullable=False, index=True),
    Column("phase", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("intent", JSON, nullable=False),
    Column("outcome", JSON),
    Column("at", Float, nullable=False),
    Column("finished_at", Float),
)

event = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String, ForeignKey("run.id"), index=True),
    Column("at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("detail", String, nullable=False),
    Column("recurrence", String, ForeignKey("recurrence.id", name="event_recurrence"), index=True),
)

measurement = Table(
    "measurement",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("hub", String, ForeignKey("hub.hub"), nullable=False, index=True),
    Column("node", Integer, nullable=False, server_default="0"),
    Column("at", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("joules", Float, nullable=False),
    Column("gpu_joules", Float),
    Column("basis", String, nullable=False),
    Column("by", String, nullable=False),
    UniqueConstraint("hub", "node", "at", name="measurement_once"),
)

forecast_error = Table(
    "forecast_error",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String, ForeignKey("run.id"), nullable=False, index=True),
    Column("zone", String, nullable=False),
    Column("signal", String, nullable=False),
    Column("basis", String, nullable=False),
    Column("issued_at", Float, nullable=False),
    Column("lead_h", Float, nullable=False),
    Column("hours", Integer, nullable=False),
    Column("mape", Float),
    Column("bias_gco2_per_kwh", Float),
    Column("same_figure", Boolean, nullable=False),
    UniqueConstraint("run", "zone", name="forecast_error_once"),
)

"""Closing the status of a hub whose worker could not do so itself."""

from __future__ import annotations

from harchos_infra.hub.directory import Directory, Identity
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.status import FINAL, Status, now


def close_status(directory: Directory, identity: Identity, phase: str, reason: str) -> None:
    """Make the status in the mailbox a final one: the worker's own if there is one. Raises MailboxError."""
    mailbox = Mailbox(identity.mailbox, identity.run, identity.hub)
    published = mailbox.get_json("status.json")
    if published and published.get("phase") in FINAL:
        return
    last = directory.status() or published or Status().to_json()
    if last.get("phase") not in FINAL:
        last = {**last, "phase": phase, "reason": reason, "finished_at": now()}
    mailbox.put_json("status.json", last)

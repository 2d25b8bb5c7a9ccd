"""Where the mailboxes of hubs on this machine are."""

from __future__ import annotations

from harchos_infra.settings import home


def mailbox_url() -> str:
    """Return the root of all mailboxes as a URL."""
    return (home() / "mailbox").as_uri()

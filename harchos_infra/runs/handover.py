"""The way of a job's work from one hub to the next, so that the next resumes where the last one was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from harchos_infra.hub.checkpoints import file_name, generations, publish, read_manifest
from harchos_infra.hub.files import DamagedError, Item
from harchos_infra.hub.mailbox import COPY_BYTES, Mailbox, MailboxError
from harchos_infra.hub.outputs import put_out

_SMALL_BYTES = 8 << 20
Carry = Callable[[int], None]
"""Hears of so many bytes that were copied, and may take its time."""


def at_once(count: int) -> None:
    """Take no time beside that of the stores."""


def handover(source: Mailbox, target: Mailbox, carry: Carry = at_once) -> int | None:
    """Copy the newest valid generation to another hub's mailbox; return the number that is newest there.

    None if neither has one. What several nodes wrote then lies in one place, for all nodes of the next.
    Between mailboxes in one bucket the store copies, and sizes are checked; else the bytes pass through here
    in pieces, and their SHA-256 is checked. The manifest is written last: a copy that was interrupted counts
    for nothing and is made again by the next call; one that was finished is not. Raises MailboxError if
    either is out of reach.
    """
    there = _newest(target)
    for number in generations(source):
        if there is not None and there >= number:
            break
        try:
            files = read_manifest(source, number)
            if files is None:
                continue
            for file in files:
                box, name = file.lies(source, number)
                _copy(box, target, name, file_name(number, file.item.path), file.item)
                carry(file.item.bytes)
        except DamagedError:
            continue
        publish(target, number, [replace(file, part=None) for file in files])
        return number
    return there


def handover_outputs(sources: Sequence[Mailbox], target: Mailbox, carry: Carry = at_once) -> bool:
    """Copy what the job has put out so far to `carried/`, its manifest last; return whether there was any.

    `sources` are the mailboxes of all nodes of a hub. Raises MailboxError if a file is not what the manifest
    says.
    """
    found = put_out(sources)
    if found is None:
        return False
    for source, name, item in found:
        try:
            _copy(source, target, name, f"carried/{item.path}", item)
            carry(item.bytes)
        except DamagedError as error:
            raise MailboxError(f"{source.hub}: {error}") from error
    target.put_json("carried.json", [item.to_json() for _, _, item in found])
    return True


def _newest(mailbox: Mailbox) -> int | None:
    for number in generations(mailbox):
        try:
            if read_manifest(mailbox, number) is not None:
                return number
        except DamagedError:
            continue
    return None


def _copy(source: Mailbox, target: Mailbox, name: str, to: str, item: Item) -> None:
    if source.size(name) != item.bytes:
        raise DamagedError(f"{name} is not what its manifest says")
    if target.same_store(source) and item.bytes <= COPY_BYTES:
        try:
            target.copy(source, name, to)
        except FileNotFoundError:
            raise DamagedError(f"{name} is missing") from None
        if target.size(to) == item.bytes:
            return
    if item.bytes <= _SMALL_BYTES:
        target.put(to, b"".join(_checked(source, name, item)))
    else:
        target.put_stream(to, lambda: _checked(source, name, item))


def _checked(source: Mailbox, name: str, item: Item) -> Iterator[bytes]:
    """Yield an object's content; ends with DamagedError if it is not the file that the manifest lists."""
    digest = hashlib.sha256()
    try:
        for chunk in source.stream(name):
            digest.update(chunk)
            yield chunk
    except FileNotFoundError:
        raise DamagedError(f"{name} is missing") from None
    if digest.hexdigest() != item.sha256:
        raise DamagedError(f"{name} is not what its manifest says")

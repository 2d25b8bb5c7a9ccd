"""What a store's failure means: texts are those of obstore, bodies those of the stores."""

from __future__ import annotations

import errno

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from harchos_infra.hub.object_store import Place
from harchos_infra.hub.store_failure import explain

S3, AZURE, DIRECTORY = (
    Place("s3", "", "mail", ""),
    Place("az", "acc", "mail", ""),
    Place("file", "", "/mail", ""),
)
REFUSED = (
    "Error performing PUT http://127.0.0.1/a in 1ms - Server returned non-2xx status code: 403 Forbidden: "
)


def test_a_deletion_that_s3_refuses_within_a_list_is_a_refusal() -> None:
    text = "Generic S3 error: DeleteObjects request failed for key a: Access Denied (code: AccessDenied)"
    failure = explain(GenericError(f"{text}\n\nDebug source:\n"), S3)
    assert "access to S3 bucket mail is denied" in failure.what and not failure.transient
    assert failure.hint and "s3:DeleteObject" in failure.hint


def test_azure_says_of_a_wrong_clock_that_authentication_failed() -> None:
    detail = (
        "<Error><Code>AuthenticationFailed</Code><Detail>Request date header too old: 'Wed'</Detail></Error>"
    )
    failure = explain(PermissionDeniedError(REFUSED + detail), AZURE)
    assert "clock is wrong" in failure.what and failure.hint and "timedatectl" in failure.hint


def test_a_full_disk_of_this_machine_is_not_the_stores_failure() -> None:
    failure = explain(OSError(errno.ENOSPC, "No space left on device"), S3)
    assert "No space left" in failure.what and not failure.transient and not failure.missing


def test_a_directory_that_is_away_may_come_back() -> None:
    assert explain(GenericError("Generic LocalFileSystem error: Unable to open file"), DIRECTORY).transient


@pytest.mark.parametrize("place", [S3, AZURE])
def test_what_nobody_knows_is_shown_without_obstores_dump(place: Place) -> None:
    failure = explain(GenericError("something\nnew\n\nDebug source:\nGeneric { … }"), place)
    assert failure.what == "something new" and failure.transient

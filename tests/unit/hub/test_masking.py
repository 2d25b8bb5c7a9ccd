"""Secrets never pass the mask, however the stream is cut."""

from __future__ import annotations

import base64
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from harchos_infra.hub.masking import Mask


def _masked(mask: Mask, chunks: list[bytes]) -> bytes:
    return b"".join(map(mask.feed, chunks)) + mask.close()


@given(
    secrets=st.lists(st.text("abX", min_size=2, max_size=6), min_size=1, max_size=3),
    words=st.lists(st.integers(0, 2) | st.text("abXy ", max_size=4), max_size=8),
    cuts=st.lists(st.integers(0, 40), max_size=6),
)
def test_any_cut_of_the_stream_gives_the_same_text(
    secrets: list[str], words: list[int | str], cuts: list[int]
) -> None:
    text = "".join(secrets[w % len(secrets)] if isinstance(w, int) else w for w in words).encode()
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chunks = [text[start:end] for start, end in pairwise(edges)]
    shown = _masked(Mask(secrets), chunks)
    assert shown == _masked(Mask(secrets), [text])
    assert not any(secret.encode() in shown for secret in secrets)


def test_a_secret_cut_in_every_byte_is_masked() -> None:
    secret = "p4ss-w0rd"
    assert _masked(Mask([secret]), [bytes([b]) for b in b"x p4ss-w0rd y"]) == b"x *** y"


def test_its_base64_form_is_masked_too() -> None:
    encoded = base64.b64encode(b"p4ss-w0rd")
    assert _masked(Mask(["p4ss-w0rd"]), [b"auth: ", encoded[:4], encoded[4:]]) == b"auth: ***"


def test_text_that_only_begins_like_a_secret_comes_through() -> None:
    mask = Mask(["secret"])
    assert mask.feed(b"a sec") == b"a "
    assert mask.feed(b"ond") == b"second"


def test_without_secrets_nothing_is_held_back_and_any_byte_passes() -> None:
    everything = bytes(range(256))
    assert Mask(["", "  "]).feed(everything) is not None
    assert Mask([]).feed(everything) == everything

"""Intensities of different quantities never mix."""

from dataclasses import replace

import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.grid.signal import Basis, check_same_factors

AVERAGE = Basis("average", "life-cycle", "consumption", "test", "test")


@pytest.mark.parametrize("other", [{"kind": "marginal"}, {"factors": "direct"}, {"scope": "production"}])
def test_another_quantity_is_refused_and_both_are_named(other):
    with pytest.raises(HarchosError, match="average life-cycle consumption-based") as caught:
        check_same_factors([AVERAGE, replace(AVERAGE, **other)])
    assert next(iter(other.values())) in caught.value.what


def test_another_source_or_method_of_the_same_quantity_is_welcome():
    check_same_factors([AVERAGE, replace(AVERAGE, source="other", method="other", flat=True)])
    check_same_factors([])

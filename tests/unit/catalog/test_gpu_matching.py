"""Which models a requested GPU name means."""

import pytest

from harchos_infra.catalog.gpu import known_models, matches, suggest


@pytest.mark.parametrize(
    ("requested", "models"),
    [
        ("A100", {"A100-40GB", "A100-80GB"}),
        ("nvidia-a100", {"A100-40GB", "A100-80GB"}),
        ("a100-80gb", {"A100-80GB"}),
        ("NVIDIA A100 80GB", {"A100-80GB"}),
        ("H100", {"H100-SXM", "H100-NVL"}),
        ("h100-nvl", {"H100-NVL"}),
        ("L4", {"L4"}),
        ("L40S", {"L40S"}),
        ("T4", {"T4"}),
        ("nvidia-tesla-t4", {"T4"}),
        ("T4G", {"T4G"}),
        ("A10", {"A10"}),
        ("A10G", {"A10G"}),
        ("V100", {"V100-16GB", "V100-32GB"}),
        ("MI25", {"Radeon-MI25"}),
        ("amd-mi300x", {"MI300X"}),
        ("rtx pro 6000", {"RTX-PRO-6000"}),
        ("B2", set()),
        ("80GB", set()),
        ("", set()),
        ("nvidia", set()),
    ],
)
def test_a_name_means_its_model_or_its_family(requested, models):
    assert {model for model in known_models() if matches(requested, model)} == models


def test_a_family_includes_cards_that_no_offer_has_yet():
    assert matches("H100", "H100-PCIe")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("A1000", "A100"), ("H10", "H100"), ("L40", "L40S"), ("mi300", "MI300X"), ("nvidia-l5", "L4")],
)
def test_a_mistyped_model_is_answered_with_the_nearest(typed, meant):
    assert meant in suggest(typed)


def test_every_suggestion_can_be_asked_for():
    assert all(any(matches(near, model) for model in known_models()) for near in suggest("A100-16GB"))


def test_what_resembles_nothing_gets_no_suggestion():
    assert suggest("quantum-9000") == []

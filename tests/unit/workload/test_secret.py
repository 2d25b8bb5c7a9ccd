from __future__ import annotations

from pathlib import Path

import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.workload.secret import hidden_values, is_secret_name, secret_values
from support.documents import Loading

SPEC = "type: batch\ncommand: x\n"


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "hf_token",
        "DB_PASSWORD",
        "PASSWD",
        "OPENAI_API_KEY",
        "APIKEY",
        "AWS_SECRET_ACCESS_KEY",
        "PRIVATE_PEM",
    ],
)
def test_some_names_say_that_their_value_is_a_secret(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["EPOCHS", "KEYBOARD", "PATH", "PYTHONUNBUFFERED"])
def test_other_names_do_not(name: str) -> None:
    assert not is_secret_name(name)


def test_a_secret_comes_from_the_environment_or_from_a_file_beside_the_document(
    loading: Loading, tmp_path: Path
) -> None:
    (tmp_path / "key.txt").write_text("from file\n", encoding="utf-8")
    loaded = loading(SPEC + "secrets: [{name: A}, {name: B, env: OTHER}, {name: C, file: key.txt}]")
    assert secret_values(loaded, {"A": "one", "OTHER": "two"}) == {"A": "one", "B": "two", "C": "from file"}


def test_every_secret_that_cannot_be_read_is_named_at_once(loading: Loading, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("", encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    loaded = loading(
        SPEC
        + "secrets: [{name: A}, {name: B, file: absent}, {name: C, file: empty}, {name: D, file: binary}, "
        + "{name: E}]"
    )
    with pytest.raises(HarchosError) as refused:
        secret_values(loaded, {"E": "value of E"})
    for said in ("A: environment variable A is not set", "B: file", "C: file", "D: file"):
        assert said in refused.value.what
    assert "value of E" not in refused.value.what


def test_what_must_stay_hidden_is_secrets_and_env_whose_names_say_so(loading: Loading) -> None:
    loaded = loading(
        SPEC + "env: [{name: HF_TOKEN, value: x}, {name: EPOCHS, value: '3'}]\nsecrets: [{name: DATABASE}]"
    )
    assert hidden_values(loaded, {"DATABASE": "y"}) == {"HF_TOKEN": "x", "DATABASE": "y"}

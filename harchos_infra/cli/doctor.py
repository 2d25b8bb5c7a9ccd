"""`harchos doctor`: what is needed here and on each cloud, what is missing, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from harchos_infra.cli.output import Format, FormatOption, note, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harchos_infra.clouds.cloud import Finding


def doctor(
    clouds: list[str] = typer.Argument(
        None, metavar="[CLOUD]...", help="aws, gcp, azure; those that are set up here if none is named."
    ),
    format: Format = FormatOption,
) -> None:
    """Check this machine and clouds for what hubs need; exits 1 if something required is missing."""
    from harchos_infra.cli.choice import check_choice
    from harchos_infra.clouds.cloud import RENTED
    from harchos_infra.settings import Settings

    for name in clouds or ():
        check_choice("cloud", name, RENTED)
    asked = tuple(dict.fromkeys(clouds or ())) or Settings.load().clouds()
    found = {"local": _check_machine(), **{name: _check_cloud(name) for name in asked}}
    if format is Format.JSON:
        print_json(_document(found))
    else:
        _print(found)
        if not asked:
            note("no cloud is set up here; `harchos doctor aws` looks at one all the same")
    if not all(_is_ready(findings) for findings in found.values()):
        raise typer.Exit(1)


def _check_machine() -> list[Finding]:
    from harchos_infra.clouds.cloud import Finding
    from harchos_infra.errors import HarchosError
    from harchos_infra.provision.binary import find_binary
    from harchos_infra.settings import Settings

    try:
        binary = find_binary()
        terraform = Finding("terraform", True, f"{binary.path} {'.'.join(map(str, binary.version))}")
    except HarchosError as error:
        terraform = Finding("terraform", False, error.what, error.hint)
    zone = Settings.load().local_zone
    hint = None if zone else "harchos config set local.zone DE"
    what = zone or "this machine's grid zone is not set: no plan can take it"
    return [terraform, _check_engine(), Finding("zone", bool(zone), what, hint, required=False)]


def _check_engine() -> Finding:
    from harchos_infra.clouds.cloud import Finding
    from harchos_infra.hub.engine import EngineError, installed_engines

    refusals = []
    for engine in installed_engines():
        try:
            engine.run("ps", "--quiet")
        except EngineError as error:
            refusals.append(str(error))
            continue
        return Finding("engine", True, engine.name)
    what = "; ".join(refusals) or "neither podman nor docker is installed"
    hint = "jobs on this machine run as plain processes, without their image, until an engine answers"
    return Finding("engine", False, what, hint, required=False)


def _check_cloud(name: str) -> Sequence[Finding]:
    from harchos_infra.clouds.cloud import Finding, rented_cloud
    from harchos_infra.errors import HarchosError

    try:
        return rented_cloud(name).check()
    except HarchosError as error:
        return [Finding("access", False, error.what, error.hint)]


def _is_ready(findings: Sequence[Finding]) -> bool:
    return all(finding.ok or not finding.required for finding in findings)


def _document(found: dict[str, Sequence[Finding]]) -> dict[str, Any]:
    return {
        "schema": "harchos.doctor/1",
        "ready": all(map(_is_ready, found.values())),
        "places": [
            {
                "place": name,
                "ready": _is_ready(findings),
                "findings": [
                    {"subject": f.subject, "ok": f.ok, "required": f.required, "what": f.what, "hint": f.hint}
                    for f in findings
                ],
            }
            for name, findings in found.items()
        ],
    }


def _print(found: dict[str, Sequence[Finding]]) -> None:
    rows = [
        [name, finding.subject, _verdict(finding), finding.what]
        for name, findings in found.items()
        for finding in findings
    ]
    print_table(["place", "what", "", "found"], rows)
    for name, findings in found.items():
        for finding in findings:
            if finding.hint is not None:
                note(f"{name} {finding.subject}: {finding.hint}")


def _verdict(finding: Finding) -> str:
    return "ok" if finding.ok else "MISSING" if finding.required else "note"

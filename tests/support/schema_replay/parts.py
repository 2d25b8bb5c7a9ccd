"""What goes with something else when that is deleted, as on the real clouds."""

from __future__ import annotations

from support.schema_replay.schemas import Json

_PARTS = {
    "aws_route": ("route_table_id", "aws_route_table", "id"),
    "aws_route_table_association": ("subnet_id", "aws_subnet", "id"),
    "aws_vpc_security_group_ingress_rule": ("security_group_id", "aws_security_group", "id"),
    "aws_vpc_security_group_egress_rule": ("security_group_id", "aws_security_group", "id"),
    # Google keeps a binding of an account that is gone, as `deleted:…`; it grants nothing.
    "google_storage_bucket_iam_member": ("member", "google_service_account", "member"),
    "google_secret_manager_secret_iam_member": ("member", "google_service_account", "member"),
    "google_project_iam_member": ("member", "google_service_account", "member"),
}


def is_part_of(kind: str, values: Json, whole_kind: str, whole: Json) -> bool:
    """Return whether a resource goes when another one, the whole, is deleted."""
    if whole_kind == "azurerm_resource_group":
        return kind.startswith("azurerm_") and values.get("resource_group_name") == whole["name"]
    attribute, of, its = _PARTS.get(kind, ("", "", ""))
    return of == whole_kind and values.get(attribute) == whole.get(its)

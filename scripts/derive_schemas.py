"""Writes the reduced provider schemas that the schema-replay provider serves in tests.

    python scripts/derive_schemas.py [FOLDER WITH aws.json, google.json, azurerm.json]

Takes whole types out of `terraform providers schema -json` dumps; descriptions, which no check needs, are
dropped.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DUMPS = ROOT.parent / "shared" / "terraform-schemas"
REDUCED = ROOT / "tests" / "support" / "schema_replay" / "schemas"

KEPT: dict[str, dict[str, str]] = {
    "aws": {
        "resource_schemas": """
            ami_copy autoscaling_group cloudwatch_log_group cloudwatch_metric_alarm default_security_group
            ebs_volume ec2_capacity_reservation ec2_tag eip eip_association flow_log iam_instance_profile
            iam_policy iam_role iam_role_policy iam_role_policy_attachment instance internet_gateway
            key_pair kms_alias kms_key launch_template main_route_table_association nat_gateway
            network_interface network_interface_attachment placement_group route route_table
            route_table_association s3_bucket s3_bucket_policy s3_object scheduler_schedule
            secretsmanager_secret secretsmanager_secret_version security_group security_group_rule
            spot_instance_request ssm_parameter subnet volume_attachment vpc vpc_endpoint
            vpc_security_group_egress_rule vpc_security_group_ingress_rule
        """,
        "data_source_schemas": """
            ami availability_zone availability_zones caller_identity default_tags ec2_instance_type
            ec2_instance_type_offering ec2_instance_type_offerings ec2_instance_types ec2_spot_price
            iam_policy iam_policy_document iam_role instance internet_gateway ip_ranges kms_alias kms_key
            partition region regions s3_bucket s3_object security_group security_groups
            servicequotas_service_quota ssm_parameter subnet subnets vpc vpcs
        """,
    },
    "google": {
        "resource_schemas": """
            compute_address compute_attached_disk compute_disk compute_firewall compute_instance
            compute_instance_from_template compute_instance_template compute_network
            compute_project_metadata_item compute_reservation compute_resource_policy compute_route
            compute_router compute_router_nat compute_subnetwork kms_crypto_key kms_key_ring
            project_iam_custom_role project_iam_member project_service secret_manager_secret
            secret_manager_secret_iam_member secret_manager_secret_version service_account
            service_account_iam_member storage_bucket storage_bucket_iam_member storage_bucket_object
        """,
        "data_source_schemas": """
            client_config client_openid_userinfo compute_default_service_account compute_disk
            compute_image compute_instance compute_machine_types compute_network compute_regions
            compute_subnetwork compute_zones iam_policy project service_account storage_bucket
            storage_project_service_account
        """,
    },
    "azurerm": {
        "resource_schemas": """
            availability_set capacity_reservation capacity_reservation_group
            dev_test_global_vm_shutdown_schedule key_vault
            key_vault_access_policy key_vault_secret linux_virtual_machine managed_disk
            marketplace_agreement monitor_action_group monitor_metric_alert nat_gateway
            nat_gateway_public_ip_association network_interface
            network_interface_security_group_association network_security_group network_security_rule
            proximity_placement_group public_ip resource_group role_assignment role_definition route
            route_table ssh_public_key storage_account storage_blob storage_container subnet
            subnet_nat_gateway_association subnet_network_security_group_association
            subnet_route_table_association user_assigned_identity virtual_machine_data_disk_attachment
            virtual_machine_extension virtual_machine_run_command virtual_network virtual_network_peering
        """,
        "data_source_schemas": """
            client_config image images key_vault key_vault_secret location managed_disk network_interface
            network_security_group platform_image public_ip resource_group role_definition
            shared_image_version ssh_public_key storage_account storage_container subnet subscription
            user_assigned_identity virtual_machine virtual_network
        """,
    },
}


def main() -> None:
    dumps = Path(sys.argv[1]) if len(sys.argv) > 1 else DUMPS
    REDUCED.mkdir(exist_ok=True)
    for provider, kept in KEPT.items():
        reduced = _reduced(json.loads((dumps / f"{provider}.json").read_text()), provider, kept)
        (REDUCED / f"{provider}.json").write_text(_one_type_a_line(reduced))


def _reduced(dump: dict[str, Any], provider: str, kept: dict[str, str]) -> dict[str, Any]:
    ((address, schemas),) = dump["provider_schemas"].items()
    chosen = {
        section: {f"{provider}_{name}": schemas[section][f"{provider}_{name}"] for name in names.split()}
        for section, names in kept.items()
    }
    return {
        "format_version": dump["format_version"],
        "provider_schemas": {address: _plain({"provider": schemas["provider"], **chosen})},
    }


def _one_type_a_line(dump: dict[str, Any]) -> str:
    """Return a dump as JSON in which a changed type is a changed line."""
    ((address, schemas),) = dump["provider_schemas"].items()
    sections = [
        f'"{section}":{{\n' + ",\n".join(f'"{name}":{_compact(types[name])}' for name in sorted(types)) + "}"
        for section, types in schemas.items()
        if section != "provider"
    ]
    head = f'{{"format_version":"{dump["format_version"]}","provider_schemas":{{"{address}":{{\n'
    return head + ",\n".join([f'"provider":{_compact(schemas["provider"])}', *sections]) + "}}}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _plain(schema: Any) -> Any:
    """Return a schema without descriptions: strings under that key (an attribute is none)."""
    if isinstance(schema, dict):
        return {
            key: _plain(value)
            for key, value in schema.items()
            if not (key in ("description", "description_kind") and isinstance(value, str))
        }
    return schema


if __name__ == "__main__":
    main()

"""A hub on AWS as `terraform/modules/aws-hub` makes one, plus what an accident may leave beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3

IMAGE = "ami-12c6146b"
"""An image that moto knows in every region."""


def client(service: str, region: str) -> Any:
    return boto3.client(service, region_name=region)


def tags(hub: str, run: str, expires: str) -> dict[str, str]:
    return {
        "harchos:run": run,
        "harchos:hub": hub,
        "harchos:expires": expires,
        "harchos:workload": run.rpartition("-")[0],
    }


def pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in values.items()]


def _policy(action: str, **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, **more}]})


def make_hub(
    hub: str = "job-0a1b2c-h1",
    region: str = "eu-west-1",
    *,
    instance_type: str = "g5.xlarge",
    market: str = "on-demand",
    nodes: int = 1,
    expires: str = "2026-11-25T06:00:00Z",
) -> dict[str, str]:
    """Make every kind of resource that a hub may have; returns the id of one of each kind."""
    run = hub.rpartition("-h")[0]
    marked = tags(hub, run, expires)

    def spec(*kinds: str) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": pairs(marked)} for kind in kinds]

    ec2, iam, name = client("ec2", region), client("iam", region), f"harchos-{hub}"
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/24", TagSpecifications=spec("vpc"))["Vpc"]["VpcId"]
    default = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    ec2.create_tags(Resources=[default["SecurityGroups"][0]["GroupId"]], Tags=pairs(marked))
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24", TagSpecifications=spec("subnet"))
    subnet_id = subnet["Subnet"]["SubnetId"]
    gateway = ec2.create_internet_gateway(TagSpecifications=spec("internet-gateway"))
    gateway_id = gateway["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc, TagSpecifications=spec("route-table"))["RouteTable"]
    ec2.create_route(
        RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway_id
    )
    ec2.associate_route_table(RouteTableId=table["RouteTableId"], SubnetId=subnet_id)
    group = ec2.create_security_group(
        GroupName=name, Description="nodes", VpcId=vpc, TagSpecifications=spec("security-group")
    )["GroupId"]
    ec2.create_placement_group(GroupName=name, Strategy="cluster", TagSpecifications=spec("placement-group"))
    template = ec2.create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={"InstanceType": instance_type},
        TagSpecifications=spec("launch-template"),
    )["LaunchTemplate"]["LaunchTemplateId"]
    trust = _policy("sts:AssumeRole", Principal={"Service": "ec2.amazonaws.com"})
    mailbox = _policy("s3:GetObject", Resource=f"arn:aws:s3:::mailbox/{run}/*")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, Tags=pairs(marked))
    iam.put_role_policy(RoleName=name, PolicyName="mailbox", PolicyDocument=mailbox)
    iam.create_instance_profile(InstanceProfileName=name, Tags=pairs(marked))
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}} if market == "spot" else {}
    instances = ec2.run_instances(
        ImageId=IMAGE,
        InstanceType=instance_type,
        MinCount=nodes,
        MaxCount=nodes,
        SubnetId=subnet_id,
        SecurityGroupIds=[group],
        Placement={"GroupName": name},
        TagSpecifications=spec("instance", "volume"),
        **spot,
    )["Instances"]
    zone = instances[0]["Placement"]["AvailabilityZone"]
    volume = ec2.create_volume(
        Size=100, VolumeType="gp3", AvailabilityZone=zone, TagSpecifications=spec("volume")
    )["VolumeId"]
    interface = ec2.create_network_interface(
        SubnetId=subnet_id, Groups=[group], TagSpecifications=spec("network-interface")
    )["NetworkInterface"]["NetworkInterfaceId"]
    ec2.attach_network_interface(
        NetworkInterfaceId=interface, InstanceId=instances[0]["InstanceId"], DeviceIndex=1
    )
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=spec("elastic-ip"))["AllocationId"]
    ec2.associate_address(AllocationId=address, InstanceId=instances[0]["InstanceId"])
    pair = ec2.create_key_pair(KeyName=name, KeyType="ed25519", TagSpecifications=spec("key-pair"))
    parameter = f"/harchos/{run}/TOKEN"
    client("ssm", region).put_parameter(Name=parameter, Value="s3cret", Type="SecureString", Overwrite=True)
    return {
        "instance": instances[0]["InstanceId"],
        "address": address,
        "network-interface": interface,
        "volume": volume,
        "security-group": group,
        "subnet": subnet_id,
        "route-table": table["RouteTableId"],
        "internet-gateway": gateway_id,
        "vpc": vpc,
        "launch-template": template,
        "placement-group": name,
        "key-pair": pair["KeyPairId"],
        "instance-profile": name,
        "role": name,
        "parameter": parameter,
    }

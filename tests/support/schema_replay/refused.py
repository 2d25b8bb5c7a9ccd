"""What the three clouds say when they refuse, in the words that their Terraform providers hand on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refused:
    """An error at a call, and the code under which a user is to see it."""

    cloud: str
    at: str
    """`type:operation` of the replay."""
    text: str
    code: str


def _ec2(code: str, message: str, operation: str = "RunInstances") -> str:
    return (
        f"creating EC2 Instance: operation error EC2: {operation}, https response error StatusCode: 400, "
        f"RequestID: 1f1c9a3e-0a83-4bb7-9d0b-53a1f0b0a4ad, api error {code}: {message}"
    )


def _google(code: int, reason: str, message: str) -> str:
    return f"Error creating instance: googleapi: Error {code}: {message}, {reason}"


def _azure(code: str, message: str, status: int = 409) -> str:
    return (
        'creating Linux Virtual Machine (Subscription: "00000000-0000-0000-0000-000000000001" Resource Group '
        f'Name: "harchos" Virtual Machine Name: "node"): unexpected status {status} ({status} Conflict) with '
        f"error: {code}: {message}"
    )


_VM = {
    "aws": "aws_instance:create",
    "gcp": "google_compute_instance:create",
    "azure": "azurerm_linux_virtual_machine:create",
}

_AWS = (
    (
        "capacity",
        _ec2(
            "InsufficientInstanceCapacity",
            "We currently do not have sufficient g6.xlarge capacity in the Availability Zone you requested.",
        ),
    ),
    (
        "capacity",
        _ec2(
            "Unsupported",
            "Your requested instance type (g6.xlarge) is not supported in your requested Availability Zone.",
        ),
    ),
    (
        "quota",
        _ec2("VcpuLimitExceeded", "You have requested more vCPU capacity than your limit of 0 allows."),
    ),
    ("quota", _ec2("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")),
    (
        "permission",
        _ec2(
            "UnauthorizedOperation",
            "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/ci "
            "is not authorized to perform: ec2:RunInstances on resource: arn:aws:ec2:*:*:instance/*",
        ),
    ),
    ("credentials", _ec2("ExpiredToken", "The security token included in the request is expired")),
    ("credentials", _ec2("RequestExpired", "Request has expired.")),
    (
        "region",
        _ec2("OptInRequired", "You are not subscribed to this service. Please go to the account page."),
    ),
    (
        "image",
        _ec2(
            "OptInRequired",
            "In order to use this AWS Marketplace product you need to accept terms and subscribe.",
        ),
    ),
    ("image", _ec2("InvalidAMIID.NotFound", "The image id '[ami-0abc]' does not exist")),
    (
        "price",
        _ec2(
            "SpotMaxPriceTooLow",
            "Your Spot request price of 0.01 is lower than the minimum required fulfillment price.",
        ),
    ),
    ("user-data", _ec2("InvalidParameterValue", "User data is limited to 16384 bytes")),
    ("timeout", "waiting for EC2 Instance (i-1) create: timeout while waiting for state to become 'running'"),
)

_GCP = (
    (
        "capacity",
        "Error waiting for instance to create: The zone 'projects/p/zones/europe-west4-a' does not have "
        "enough resources available to fulfill the request. (ZONE_RESOURCE_POOL_EXHAUSTED)",
    ),
    (
        "capacity",
        _google(
            400,
            "badRequest",
            "Invalid value for field 'resource.machineType': 'zones/z/machineTypes/g2-standard-4'. "
            "Machine type with name 'g2-standard-4' does not exist in zone 'z'.",
        ),
    ),
    (
        "quota",
        "Error waiting for instance to create: Quota 'NVIDIA_L4_GPUS' exceeded. Limit: 0.0 in region "
        "europe-west4. (QUOTA_EXCEEDED)",
    ),
    (
        "permission",
        _google(403, "forbidden", "Required 'compute.instances.create' permission for 'projects/p/zones/z'"),
    ),
    (
        "permission",
        _google(403, "accessNotConfigured", "Compute Engine API has not been used in project 1 before"),
    ),
    ("credentials", 'oauth2: "invalid_grant" "reauth related error (invalid_rapt)"'),
    (
        "image",
        "Error resolving image name 'nope': Could not find image or family nope",
    ),
    (
        "user-data",
        _google(
            413,
            "invalid",
            "Value for field 'resource.metadata.items[0].value' is too large: maximum size 262144",
        ),
    ),
    (
        "region",
        _google(403, "forbidden", "Permission denied on 'locations/europe-west4' (or it may not exist)"),
    ),
    ("timeout", "Error waiting for Creating Instance: timeout while waiting for state to become 'DONE'"),
)

_AZURE = (
    (
        "capacity",
        _azure(
            "SkuNotAvailable",
            "The requested VM size for resource 'Standard_NC24ads_A100_v4' is currently not available in "
            "location 'swedencentral'.",
        ),
    ),
    ("capacity", _azure("AllocationFailed", "Allocation failed. We do not have sufficient capacity.")),
    ("capacity", _azure("ZonalAllocationFailed", "Allocation failed in the requested zone.")),
    (
        "quota",
        _azure(
            "OperationNotAllowed",
            "Operation could not be completed as it results in exceeding approved standardNCADSA100v4Family "
            "Cores quota. Additional details - Location: swedencentral, Current Limit: 0",
        ),
    ),
    (
        "permission",
        _azure(
            "AuthorizationFailed",
            "The client 'ci' does not have authorization to perform action "
            "'Microsoft.Compute/virtualMachines/write' over scope '/subscriptions/s'.",
            403,
        ),
    ),
    (
        "permission",
        _azure(
            "MissingSubscriptionRegistration",
            "The subscription is not registered to use namespace 'Microsoft.Compute'.",
        ),
    ),
    (
        "credentials",
        _azure("ExpiredAuthenticationToken", "The access token expiry UTC time is earlier.", 401),
    ),
    (
        "credentials",
        "building account: could not acquire access token to parse claims: running Azure CLI: exit status 1: "
        "ERROR: Please run 'az login' to setup account.",
    ),
    ("image", _azure("PlatformImageNotFound", "The platform image 'a:b:c:latest' is not available.", 404)),
    (
        "price",
        _azure(
            "OperationNotAllowed",
            "Unable to perform operation 'Create VM' since the provided max price '0.01' USD is less than "
            "the current Azure Spot VM price '0.9' USD",
        ),
    ),
    ("user-data", _azure("InvalidParameter", "Custom data must be less than 87380 characters.", 400)),
    ("region", _azure("LocationNotAvailableForResourceType", "The provided location is not available.", 400)),
    ("timeout", "polling after CreateOrUpdate: context deadline exceeded"),
)

REFUSED = tuple(
    Refused(cloud, _VM[cloud], text, code)
    for cloud, said in (("aws", _AWS), ("gcp", _GCP), ("azure", _AZURE))
    for code, text in said
)
"""At the creation of the machine, where most refusals come."""

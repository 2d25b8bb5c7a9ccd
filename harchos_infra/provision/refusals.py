"""How the three clouds, and Terraform, word their refusals; and what each means to a user.

The words are those of the providers' diagnostics: the error codes of the EC2, Compute Engine and Azure
Resource Manager references, which the Terraform providers hand on as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harchos_infra.provision.failure import Code


@dataclass(frozen=True, slots=True)
class Refusal:
    """One kind of refusal. `what` and `hint` may name {machine}, {type}, {region} and what was {said}."""

    code: Code
    cloud: str | None
    """Whose words these are; None: Terraform's, or everybody's."""
    pattern: re.Pattern[str]
    """Its groups, where it has some, are what was {said}; `\\A.*?` looks for the best of them first."""
    what: str
    hint: str
    elsewhere: bool


def _refusal(
    code: Code, cloud: str | None, pattern: str, what: str, hint: str, *, elsewhere: bool = True
) -> Refusal:
    return Refusal(code, cloud, re.compile(pattern, re.IGNORECASE | re.DOTALL), what, hint, elsewhere)


_NEXT = "the next-best candidate is tried by `harchos apply`; or widen `placement` and plan again"
_DOCTOR = (
    "`harchos doctor` names what is missing and the least policy that grants it (docs/clouds/{cloud}.md)"
)
_UNLOCK = "wait for it to end; if it is gone, run `terraform force-unlock {said}` in {workspace}"

_TERRAFORM = (
    _refusal(
        "state-locked",
        None,
        r"acquiring the state lock.*?\bID:\s*(\S+)",
        "the state of this hub is locked by someone else",
        _UNLOCK,
        elsewhere=False,
    ),
    _refusal(
        "state-locked",
        None,
        r"acquiring the state lock|is in use by another Terraform",
        "the state of this hub is in use",
        "wait for it to end, then run the same command again",
        elsewhere=False,
    ),
    _refusal(
        "crash",
        None,
        r"terraform \S+ was killed|Terraform crashed|plugin did not respond|failed to respond to the plugin",
        "Terraform ended before it was done",
        "look for its cause (memory, a signal); `harchos destroy` removes what it made",
    ),
    _refusal(
        "agent",
        None,
        r"the agent (?:died|did not start)|local-exec provisioner error: .*signal: killed",
        "the hub's agent ended before it gave a sign of life",
        "see agent.log beside {workspace}",
        elsewhere=False,
    ),
    _refusal(
        "user-data",
        None,
        r"user-data is \d+ KiB or more",
        "what the machine is booted with is too large",
        "shorten the workload's name and `environment`: the job itself is not part of it",
        elsewhere=False,
    ),
    _refusal(
        "other",
        None,
        r"Invalid value for (?:input )?variable",
        "the module refuses what it was given",
        "correct in the workload or the settings what is named above",
        elsewhere=False,
    ),
    _refusal(
        "other",
        None,
        r"query available provider packages|connect to registry|install (?:required )?provider",
        "Terraform cannot get the provider of this cloud",
        "let this machine reach registry.terraform.io, or set up a provider mirror (docs/terraform.md)",
        elsewhere=False,
    ),
)

_AWS = (
    _refusal(
        "image",
        "aws",
        r"OptInRequired[^\n]*(?:Marketplace|accept terms)",
        "the image is one of AWS Marketplace whose terms this account has not accepted",
        "accept them on the image's page in AWS Marketplace, or name another `image`",
        elsewhere=False,
    ),
    _refusal(
        "region",
        "aws",
        r"OptInRequired|invalid AWS Region|region.{0,40}not enabled",
        "this account has not enabled the region {region}",
        "enable it: `aws account enable-region --region-name {region}`, or leave it out of `placement`",
    ),
    _refusal(
        "credentials",
        "aws",
        r"AWS account ID not allowed: (\d+)",
        "the credentials are those of account {said}, not of the one that this hub belongs to",
        "switch AWS_PROFILE or the credentials back to the hub's account, then run the same command again",
        elsewhere=False,
    ),
    _refusal(
        "credentials",
        "aws",
        r"ExpiredToken|RequestExpired|SSO session has expired|token has expired|refresh cached credentials",
        "the AWS credentials have expired",
        "renew them (`aws sso login`, or a new session token), then run the same command again",
        elsewhere=False,
    ),
    _refusal(
        "credentials",
        "aws",
        r"No valid credential sources|InvalidClientTokenId|SignatureDoesNotMatch|AuthFailure"
        r"|UnrecognizedClient|no EC2 IMDS role found",
        "no AWS credentials that are valid were found",
        "set AWS_PROFILE or run `aws configure`; `harchos doctor` shows which account answers",
        elsewhere=False,
    ),
    _refusal(
        "capacity",
        "aws",
        r"Insufficient(?:Instance|Host|ReservedInstance)?Capacity",
        "AWS has no {machine} free now",
        _NEXT,
    ),
    _refusal(
        "capacity",
        "aws",
        r"is not offered in|Unsupported: .{0,80}instance type|InvalidInstanceType"
        r"|instance type .{0,60}not supported",
        "AWS does not offer {machine} there",
        _NEXT,
    ),
    _refusal(
        "quota",
        "aws",
        r"MaxSpotInstanceCountExceeded",
        "the quota of spot vCPUs for {type} is used up",
        "ask for more under Service Quotas, EC2, `Spot Instance Requests` of its family, in {region}",
    ),
    _refusal(
        "quota",
        "aws",
        r"VcpuLimitExceeded|InstanceLimitExceeded",
        "the quota of on-demand vCPUs for {type} is used up",
        "ask for more under Service Quotas, EC2, `Running On-Demand` and the family of {type}, in {region}",
    ),
    _refusal(
        "quota",
        "aws",
        r"(\w*LimitExceeded)",
        "a quota of this account is used up ({said})",
        "remove what is not needed (`harchos sweep` lists ours), or ask for more under Service Quotas",
    ),
    _refusal(
        "price",
        "aws",
        r"SpotMaxPriceTooLow",
        "the spot price of {type} is above the ceiling that the plan accepted",
        "plan again with today's prices: `harchos catalog refresh`, then `harchos plan`",
    ),
    _refusal(
        "image",
        "aws",
        r"InvalidAMIID\.\w+|query returned no results|ParameterNotFound",
        "the machine image was not found in {region}",
        "name an `image` that exists in {region}, or leave it out to have the GPU image looked up",
    ),
    _refusal(
        "user-data",
        "aws",
        r"user[ _]data[^\n]*(?:limited to|too large|exceed|in the range)",
        "what the machine is booted with is larger than the 16 KiB that AWS takes",
        "shorten the workload's name and `environment`: the job itself is not part of it",
        elsewhere=False,
    ),
    _refusal(
        "bucket",
        "aws",
        r"NoSuchBucket|bucket[^\n]{0,80}does not exist",
        "the bucket of the mailbox or of the states does not exist",
        "make it, or correct `harchos config get aws.mailbox` and `terraform.backend`",
        elsewhere=False,
    ),
    _refusal(
        "bucket",
        "aws",
        r"PermanentRedirect|BucketRegionError|MovedPermanently|AuthorizationHeaderMalformed"
        r"|IllegalLocationConstraint|requested bucket from \S+, actual location (\S+)|expecting '([\w-]+)'",
        "the bucket of the mailbox or of the states is in another region ({said})",
        "name the bucket's region: `?region=` in terraform.backend, or AWS_REGION for the mailbox",
        elsewhere=False,
    ),
    _refusal(
        "permission",
        "aws",
        r"\A.*?not authorized to perform: ([\w:*]+)|(UnauthorizedOperation|AccessDenied\w*)",
        "these credentials may not do that ({said})",
        _DOCTOR,
    ),
)

_GCP = (
    _refusal(
        "credentials",
        "gcp",
        r"invalid_grant|reauth|token (?:has been )?expired|invalid authentication credentials",
        "the Google credentials have expired",
        "run `gcloud auth application-default login`, then the same command again",
        elsewhere=False,
    ),
    _refusal(
        "credentials",
        "gcp",
        r"could not find default credentials|No credentials loaded|Invalid provided credentials",
        "no Google credentials were found",
        "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
        elsewhere=False,
    ),
    _refusal(
        "capacity",
        "gcp",
        r"RESOURCE_POOL_EXHAUSTED|enough resources available|STOCKOUT",
        "Google has no {machine} free now",
        _NEXT,
    ),
    _refusal(
        "capacity",
        "gcp",
        r"machine ?type.{0,160}(?:does not exist|not found|not available)",
        "Google does not offer {machine} there",
        _NEXT,
    ),
    _refusal(
        "quota",
        "gcp",
        r"\A.*?Quota '([\w-]+)' exceeded|(QUOTA_EXCEEDED|quotaExceeded)",
        "a quota of this project is used up ({said})",
        "ask for more under IAM & Admin, Quotas, in the Google Cloud console",
    ),
    _refusal(
        "bucket",
        "gcp",
        r"bucket[^\n]{0,80}(?:does not|doesn't) exist|NoSuchBucket|storage: bucket",
        "the bucket of the mailbox or of the states does not exist",
        "make it, or correct `harchos config get gcp.mailbox` and `terraform.backend`",
        elsewhere=False,
    ),
    _refusal(
        "image",
        "gcp",
        r"resolving image name|global/images/\S+.{0,40}not found|image family|Could not find image",
        "the machine image was not found",
        "name an `image` that exists, or leave it out to have the GPU image looked up",
        elsewhere=False,
    ),
    _refusal(
        "user-data",
        "gcp",
        r"metadata[^\n]*too large",
        "what the machine is booted with is larger than Google takes (256 KiB)",
        "shorten the workload's name and `environment`: the job itself is not part of it",
        elsewhere=False,
    ),
    _refusal(
        "region",
        "gcp",
        r"Permission denied on 'locations/([\w-]+)'|unknown (?:region|zone)|Invalid value for field 'zone'",
        "this project cannot use {region}",
        "leave {region} out of `placement`, or ask the organisation's administrator to allow it",
    ),
    _refusal(
        "permission",
        "gcp",
        r"accessNotConfigured|SERVICE_DISABLED|API has not been used in project",
        "an API that hubs need is switched off in this project",
        "switch it on: `gcloud services enable compute.googleapis.com iam.googleapis.com`",
        elsewhere=False,
    ),
    _refusal(
        "permission",
        "gcp",
        r"\A.*?(?:Required|Permission) '([\w.]+)'|(PERMISSION_DENIED|Error 403)",
        "these credentials may not do that ({said})",
        _DOCTOR,
    ),
)

_AZURE = (
    _refusal(
        "credentials",
        "azure",
        r"ExpiredAuthenticationToken|AADSTS(?:700082|50173|70043|700024)\b|token[^\n]{0,40}expired",
        "the Azure credentials have expired",
        "run `az login`, then the same command again",
        elsewhere=False,
    ),
    _refusal(
        "credentials",
        "azure",
        r"SubscriptionNotFound|subscription '?([0-9a-f-]{36})'? (?:could not be found|is not known)",
        "these credentials do not see the subscription that the hub belongs to ({said})",
        "switch to the right account (`az account set`), or correct `harchos config get azure.subscription`",
        elsewhere=False,
    ),
    _refusal(
        "credentials",
        "azure",
        r"az login|AzureCli Authorizer|AADSTS\d+|obtain (?:an )?(?:access )?token|building account",
        "no Azure credentials that are valid were found",
        "run `az login`, or set ARM_CLIENT_ID, ARM_TENANT_ID and ARM_CLIENT_SECRET",
        elsewhere=False,
    ),
    _refusal(
        "price",
        "azure",
        r"max ?price[^\n]{0,120}(?:less|lower|below)|SpotPrice",
        "the spot price of {type} is above the ceiling that the plan accepted",
        "plan again with today's prices: `harchos catalog refresh`, then `harchos plan`",
    ),
    _refusal(
        "quota",
        "azure",
        r"\A.*?exceeding approved (.{1,80}?) quota|(QuotaExceeded|LowPriorityCores|PublicIPCountLimit)",
        "a quota of this subscription is used up ({said})",
        "ask for more under Quotas in the Azure portal, for {region}",
    ),
    _refusal(
        "capacity",
        "azure",
        r"SkuNotAvailable|(?:Zonal|Overconstrained\w*)?AllocationFailed|OverconstrainedZonalAllocationRequest"
        r"|OverconstrainedAllocationRequest|AllocationTimeout",
        "Azure has no {machine} free now, or does not offer it there",
        _NEXT,
    ),
    _refusal(
        "image",
        "azure",
        r"PlatformImageNotFound|ImageNotFound|MarketplacePurchaseEligibilityFailed|VMMarketplaceInvalidInput"
        r"|needs NVIDIA's GRID driver",
        "there is no machine image for {type}, or its terms are not accepted",
        "name an `image` that exists, or accept its terms: `az vm image terms accept --urn URN`",
    ),
    _refusal(
        "user-data",
        "azure",
        r"(?:custom|user) ?data[^\n]*(?:less than|too large|exceed|length)",
        "what the machine is booted with is larger than the 64 KiB that Azure takes",
        "shorten the workload's name and `environment`: the job itself is not part of it",
        elsewhere=False,
    ),
    _refusal(
        "region",
        "azure",
        r"LocationNotAvailable\w*|RequestDisallowedByAzure|NoRegisteredProviderFound",
        "this subscription cannot use {region}",
        "leave {region} out of `placement`, or have the subscription admitted to it",
    ),
    _refusal(
        "permission",
        "azure",
        r"MissingSubscriptionRegistration.{0,120}?'(Microsoft\.\w+)'",
        "the subscription is not registered for {said}",
        "register it: `az provider register --namespace {said}`",
        elsewhere=False,
    ),
    _refusal(
        "bucket",
        "azure",
        r"ContainerNotFound|storage account[^\n]{0,120}(?:not found|does not exist)"
        r"|storageAccounts/\S+.{0,40}not found|blob\.core\.windows\.net[^\n]*no such host",
        "the storage account or container of the mailbox or of the states does not exist",
        "make it, or correct `harchos config get azure.mailbox` and `terraform.backend`",
        elsewhere=False,
    ),
    _refusal(
        "permission",
        "azure",
        r"\A.*?perform action '([\w./*-]+)'"
        r"|(\w*AuthorizationFailed|RequestDisallowedByPolicy|AuthorizationPermissionMismatch)",
        "these credentials may not do that ({said})",
        _DOCTOR,
    ),
)

_LAST = (
    _refusal(
        "timeout",
        None,
        r"timeout while waiting|did not end within|deadline exceeded|i/o timeout|TLS handshake timeout",
        "{machine} was not there in time",
        _NEXT,
    ),
)

REFUSALS: tuple[Refusal, ...] = (*_TERRAFORM, *_AWS, *_GCP, *_AZURE, *_LAST)
"""In the order in which they are looked for: the first that matches is the cause."""

locals {
  # 64 characters are the least that a name may have here: that of an IAM role.
  full_name = "harchos-${var.hub}"
  name      = length(local.full_name) <= 64 ? local.full_name : "${substr(local.full_name, 0, 55)}-${substr(sha256(var.hub), 0, 8)}"

  tags = {
    "harchos:run"      = var.run
    "harchos:hub"      = var.hub
    "harchos:expires"  = var.expires
    "harchos:workload" = var.workload
    Name               = local.name
  }

  spot = var.market == "spot"
}

module "boot" {
  source = "../hub-boot"

  cloud       = "aws"
  run         = var.run
  hub         = var.hub
  workload    = var.workload
  expires     = var.expires
  mailbox     = var.mailbox
  nodes       = var.nodes
  environment = var.environment
}

# What the instance type is, where it is offered and which image it boots.

data "aws_ec2_instance_type" "node" {
  instance_type = var.instance_type
}

data "aws_ec2_instance_type_offerings" "zones" {
  location_type = "availability-zone"

  filter {
    name   = "instance-type"
    values = [var.instance_type]
  }

  dynamic "filter" {
    for_each = var.availability_zone[*]
    content {
      name   = "location"
      values = [filter.value]
    }
  }

  lifecycle {
    postcondition {
      condition     = length(self.locations) > 0
      error_message = "${var.instance_type} is not offered in ${coalesce(var.availability_zone, "any availability zone of ${var.region}")}: choose another zone, region or instance type."
    }
  }
}

locals {
  zone = sort(data.aws_ec2_instance_type_offerings.zones.locations)[0]

  arm    = contains(data.aws_ec2_instance_type.node.supported_architectures, "arm64")
  nvidia = anytrue([for gpu in data.aws_ec2_instance_type.node.gpus : upper(gpu.manufacturer) == "NVIDIA"])

  image_parameter = (
    local.nvidia
    ? "/aws/service/deeplearning/ami/${local.arm ? "arm64" : "x86_64"}/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
    : "/aws/service/canonical/ubuntu/server/24.04/stable/current/${local.arm ? "arm64" : "amd64"}/hvm/ebs-gp3/ami-id"
  )
}

data "aws_ssm_parameter" "image" {
  count = var.image == null ? 1 : 0
  name  = local.image_parameter
}

# A network of the hub's own: nothing of the account is touched, and all of it goes with the hub.

resource "aws_vpc" "hub" {
  cidr_block         = "10.0.0.0/24"
  enable_dns_support = true
  tags               = local.tags
}

resource "aws_subnet" "hub" {
  vpc_id            = aws_vpc.hub.id
  cidr_block        = aws_vpc.hub.cidr_block
  availability_zone = local.zone
  tags              = local.tags

  lifecycle {
    # The first zone by name may be another one by the time of a later plan.
    ignore_changes = [availability_zone]
  }
}

resource "aws_internet_gateway" "hub" {
  vpc_id = aws_vpc.hub.id
  tags   = local.tags
}

resource "aws_route_table" "hub" {
  vpc_id = aws_vpc.hub.id
  tags   = local.tags
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.hub.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.hub.id
}

resource "aws_route_table_association" "hub" {
  subnet_id      = aws_subnet.hub.id
  route_table_id = aws_route_table.hub.id
}

resource "aws_security_group" "node" {
  name        = local.name
  description = "Nodes of the HarchOS hub ${local.name}"
  vpc_id      = aws_vpc.hub.id
  tags        = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "nodes" {
  security_group_id            = aws_security_group.node.id
  description                  = "Everything between the nodes of the hub"
  ip_protocol                  = "-1"
  referenced_security_group_id = aws_security_group.node.id
  tags                         = local.tags
}

resource "aws_vpc_security_group_egress_rule" "nodes" {
  security_group_id            = aws_security_group.node.id
  description                  = "Everything between the nodes of the hub"
  ip_protocol                  = "-1"
  referenced_security_group_id = aws_security_group.node.id
  tags                         = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "exposed" {
  for_each = {
    for rule in distinct(flatten([for rule in var.ingress : [for cidr in rule.cidrs : { port = rule.port, cidr = cidr }]])) :
    "${rule.port} ${rule.cidr}" => rule
  }

  security_group_id = aws_security_group.node.id
  description       = "Port ${each.value.port}, exposed by the workload"
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = each.value.cidr
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "web" {
  for_each = { http = 80, https = 443 }

  security_group_id = aws_security_group.node.id
  description       = "Outgoing ${upper(each.key)}: mailbox, images, packages, data"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
  cidr_ipv4         = "0.0.0.0/0"
  tags              = local.tags
}

# The nodes.

resource "aws_placement_group" "cluster" {
  count = var.nodes > 1 && contains(data.aws_ec2_instance_type.node.supported_placement_strategies, "cluster") ? 1 : 0

  name     = local.name
  strategy = "cluster"
  tags     = local.tags
}

# Only for what aws_instance cannot tag when it launches. Instance and disk are tagged by aws_instance itself.
resource "aws_launch_template" "tags" {
  name        = local.name
  description = "Tags of the HarchOS hub ${local.name}"
  tags        = local.tags

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  dynamic "tag_specifications" {
    # A type of which the launch makes none would let the launch fail.
    for_each = concat(["network-interface"], local.spot ? ["spot-instances-request"] : [])
    content {
      resource_type = tag_specifications.value
      tags          = local.tags
    }
  }
}

resource "aws_instance" "node" {
  count = var.nodes

  ami                    = var.image == null ? data.aws_ssm_parameter.image[0].insecure_value : var.image
  instance_type          = var.instance_type
  subnet_id              = aws_subnet.hub.id
  vpc_security_group_ids = [aws_security_group.node.id]
  placement_group        = one(aws_placement_group.cluster[*].name)
  iam_instance_profile   = aws_iam_instance_profile.hub.name

  # The way out without a NAT gateway, which costs nine times as much; nothing comes in but ingress.
  associate_public_ip_address = true

  user_data                            = module.boot.user_data[count.index]
  user_data_replace_on_change          = true
  instance_initiated_shutdown_behavior = "terminate"
  ebs_optimized                        = data.aws_ec2_instance_type.node.ebs_optimized_support != "unsupported"

  tags        = merge(local.tags, { Name = count.index == 0 ? local.name : "${local.name}-n${count.index}" })
  volume_tags = local.tags

  launch_template {
    id      = aws_launch_template.tags.id
    version = aws_launch_template.tags.latest_version
  }

  # One hop: the agent on the node has the role, a job in a container's own network does not.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type           = "gp3"
    volume_size           = var.disk_gib
    encrypted             = true
    delete_on_termination = true
  }

  dynamic "instance_market_options" {
    for_each = local.spot ? [1] : []
    content {
      market_type = "spot"
      spot_options {
        spot_instance_type             = "one-time"
        instance_interruption_behavior = "terminate"
        max_price                      = var.max_price_usd_hour == null ? null : tostring(var.max_price_usd_hour)
      }
    }
  }

  # A node must find its way out and its rights when it boots, and keep them until it is gone.
  depends_on = [
    aws_iam_role_policy.mailbox,
    aws_iam_role_policy.secrets,
    aws_route.internet,
    aws_route_table_association.hub,
    aws_vpc_security_group_egress_rule.nodes,
    aws_vpc_security_group_egress_rule.web,
    aws_vpc_security_group_ingress_rule.nodes,
  ]

  lifecycle {
    # A newer image is for the next hub: this one keeps what it booted.
    ignore_changes = [ami]

    precondition {
      condition     = var.availability_zone == null ? true : startswith(var.availability_zone, var.region)
      error_message = "${coalesce(var.availability_zone, "-")} is not a zone of ${var.region}."
    }
  }
}

# What the nodes may do in the account: their run's part of the mailbox, and the secrets that they were given.

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

locals {
  bucket     = split("/", trimprefix(var.mailbox, "s3://"))[0]
  prefix     = trim(trimprefix(trimprefix(var.mailbox, "s3://"), local.bucket), "/")
  folder     = join("/", compact([local.prefix, var.run]))
  bucket_arn = "arn:${data.aws_partition.current.partition}:s3:::${local.bucket}"

  account = "${var.region}:${data.aws_caller_identity.current.account_id}"
  secret_arns = [
    for name in sort(distinct(var.secrets)) :
    "arn:${data.aws_partition.current.partition}:ssm:${local.account}:parameter/harchos/${var.run}/${name}"
  ]
}

resource "aws_iam_role" "hub" {
  name                 = local.name
  description          = "Nodes of the HarchOS hub ${local.name}"
  permissions_boundary = var.permissions_boundary
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "mailbox" {
  name = "mailbox"
  role = aws_iam_role.hub.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Objects"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        Resource = "${local.bucket_arn}/${local.folder}/*"
      },
      {
        Sid       = "List"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = local.bucket_arn
        Condition = { StringLike = { "s3:prefix" = "${local.folder}/*" } }
      },
    ]
  })
}

resource "aws_iam_role_policy" "secrets" {
  count = length(var.secrets) > 0 ? 1 : 0

  name = "secrets"
  role = aws_iam_role.hub.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Read"
        Effect   = "Allow"
        Action   = "ssm:GetParameter"
        Resource = local.secret_arns
      },
      {
        # Which key a parameter is encrypted with is the account's choice; with that key, only these parameters.
        Sid      = "Decrypt"
        Effect   = "Allow"
        Action   = "kms:Decrypt"
        Resource = "arn:${data.aws_partition.current.partition}:kms:${local.account}:key/*"
        Condition = {
          StringEquals = {
            "kms:ViaService"                      = "ssm.${var.region}.${data.aws_partition.current.dns_suffix}"
            "kms:EncryptionContext:PARAMETER_ARN" = local.secret_arns
          }
        }
      },
    ]
  })
}

resource "aws_iam_instance_profile" "hub" {
  name = local.name
  role = aws_iam_role.hub.name
  tags = local.tags
}

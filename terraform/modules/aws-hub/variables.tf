variable "run" {
  description = "Name of the run, <workload>-<6 hex>."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]*$", var.run))
    error_message = "A run is named with lower-case letters, digits, dots and hyphens, starting with a letter or digit."
  }
}

variable "hub" {
  description = "Name of the hub, <run>-h<n>; everything that is made carries it in the tag harchos:hub."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]*$", var.hub)) && length(var.hub) <= 255
    error_message = "A hub is named with at most 255 lower-case letters, digits, dots and hyphens, starting with a letter or digit."
  }
}

variable "workload" {
  description = "Name of the workload that the run carries out, for the tag harchos:workload."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]*$", var.workload))
    error_message = "A workload is named with lower-case letters, digits, dots and hyphens, starting with a letter or digit."
  }
}

variable "expires" {
  description = "Time at which each node powers itself off, and with that is terminated, RFC 3339 (2026-11-24T06:00:00Z)."
  type        = string

  validation {
    condition     = can(timeadd(var.expires, "0s"))
    error_message = "expires must be an RFC 3339 time such as 2026-11-24T06:00:00Z."
  }
}

variable "mailbox" {
  description = "Object-store URL through which controller and hub talk, s3://BUCKET[/PREFIX]; the hub uses <mailbox>/<run>/."
  type        = string

  validation {
    condition     = can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.'()-]+)*/?$", var.mailbox))
    error_message = "A hub on AWS reaches its mailbox with its role, so that must be s3://BUCKET or s3://BUCKET/PREFIX."
  }
}

variable "region" {
  description = "Region of the hub, the one that the provider is configured for (eu-north-1)."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be the code of an AWS region such as eu-north-1."
  }
}

variable "availability_zone" {
  description = "Availability zone of all nodes (eu-north-1a); null: the first by name that offers the instance type."
  type        = string
  default     = null

  validation {
    condition     = var.availability_zone == null || can(regex("^[a-z]+(-[a-z]+)+-[0-9]+(-[a-z]+-[0-9]+)?[a-z]$", var.availability_zone))
    error_message = "availability_zone must be the name of a zone such as eu-north-1a, or null."
  }
}

variable "instance_type" {
  description = "EC2 instance type of every node (g6.xlarge)."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", var.instance_type))
    error_message = "instance_type must be an EC2 instance type such as g6.xlarge."
  }
}

variable "market" {
  description = "How the nodes are bought: on-demand, or spot (one-time requests; taken back with two minutes' notice)."
  type        = string

  validation {
    condition     = contains(["on-demand", "spot"], var.market)
    error_message = "market must be on-demand or spot."
  }
}

variable "nodes" {
  description = "Number of nodes. Two or more are put into a cluster placement group where the instance type allows one."
  type        = number
  default     = 1

  validation {
    condition     = var.nodes >= 1 && var.nodes <= 200 && floor(var.nodes) == var.nodes
    error_message = "nodes must be a whole number from 1 to 200: they share one /24 subnet."
  }
}

variable "max_price_usd_hour" {
  description = "Most that a spot node may cost, USD per node and hour; null: the on-demand price. Without effect on the on-demand market, whose price is fixed."
  type        = number
  default     = null

  # The conditional stands alone: `null > 0` is an error even behind an `||`.
  validation {
    condition     = var.max_price_usd_hour == null ? true : var.max_price_usd_hour > 0
    error_message = "max_price_usd_hour must be positive, or null."
  }
}

variable "image" {
  description = "Id of an AMI with cloud-init and Python 3.11 or later; null: looked up for the instance type, Ubuntu 24.04 with or without the NVIDIA driver."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("^ami-[0-9a-f]+$", var.image))
    error_message = "image must be the id of an AMI such as ami-0123456789abcdef0, or null."
  }
}

variable "disk_gib" {
  description = "Size of each node's root disk, GiB; at least that of the image."
  type        = number
  default     = 100

  validation {
    condition     = var.disk_gib >= 8 && var.disk_gib <= 65536 && floor(var.disk_gib) == var.disk_gib
    error_message = "disk_gib must be a whole number from 8 to 65536, what a gp3 volume may have."
  }
}

variable "ingress" {
  description = "TCP ports that the workload exposes, and the IPv4 ranges that may reach them. Nothing else is let in."
  type = list(object({
    port  = number
    cidrs = list(string)
  }))
  default = []

  validation {
    condition     = alltrue([for rule in var.ingress : rule.port >= 1 && rule.port <= 65535 && floor(rule.port) == rule.port])
    error_message = "Each port of ingress must be a whole number from 1 to 65535."
  }

  validation {
    condition     = alltrue(flatten([for rule in var.ingress : [for cidr in rule.cidrs : can(cidrnetmask(cidr))]]))
    error_message = "Each range of ingress must be IPv4 in CIDR notation, such as 203.0.113.0/24; the hub's network has no IPv6."
  }

  validation {
    condition     = alltrue([for rule in var.ingress : length(rule.cidrs) > 0])
    error_message = "Each port of ingress needs the ranges that may reach it; 0.0.0.0/0 is everyone."
  }
}

variable "environment" {
  description = "Environment of the agent, such as AWS_REGION of a mailbox in another region. It can be read by whoever may describe the nodes: no secrets."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name))])
    error_message = "Names in environment must be letters, digits and underscores, not starting with a digit."
  }
}

variable "secrets" {
  description = "Names of the run's secrets; the nodes may read the SSM parameters /harchos/<run>/<name>, and no other."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.secrets : can(regex("^[A-Za-z0-9_.-]+$", name))])
    error_message = "Names of secrets must be letters, digits, dots, underscores and hyphens."
  }
}

variable "permissions_boundary" {
  description = "ARN of the IAM policy that bounds what the hub's role may be allowed (configs/iam/aws-hub-boundary.json); null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:policy/.+$", var.permissions_boundary))
    error_message = "permissions_boundary must be the ARN of an IAM policy such as arn:aws:iam::123456789012:policy/harchos-hub-boundary."
  }
}

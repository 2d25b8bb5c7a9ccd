variable "run" {
  description = "Name of the run, <workload>-<6 hex>."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", var.run))
    error_message = "A run is named with lower-case letters, digits, dots and hyphens; it starts and ends with a letter or digit."
  }
}

variable "hub" {
  description = "Name of the hub, <run>-h<n>; every resource of the hub is named and labelled after it."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", var.hub))
    error_message = "A hub is named with lower-case letters, digits, dots and hyphens; it starts and ends with a letter or digit."
  }
}

variable "workload" {
  description = "Name of the workload that the run carries out."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", var.workload))
    error_message = "A workload is named with lower-case letters, digits, dots and hyphens; it starts and ends with a letter or digit."
  }
}

variable "expires" {
  description = "Time at which Google deletes the machines if they still run, RFC 3339 in UTC (2026-11-24T06:00:00Z). Google takes 30 s to 120 days from now."
  type        = string

  validation {
    condition     = can(timeadd(var.expires, "0s")) && endswith(var.expires, "Z")
    error_message = "expires must be an RFC 3339 time in UTC such as 2026-11-24T06:00:00Z."
  }
}

variable "mailbox" {
  description = "Cloud Storage URL through which controller and hub talk; the hub uses <mailbox>/<run>/<hub>/. The bucket must have uniform bucket-level access."
  type        = string

  validation {
    condition     = can(regex("^gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[A-Za-z0-9._/-]+)?$", var.mailbox))
    error_message = "The mailbox of a hub on Google Cloud must be a gs://BUCKET[/PREFIX] URL."
  }
}

variable "project" {
  description = "Id of the Google Cloud project in which the hub is made."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project is given by its id, such as my-project-123: not by its number and not by its display name."
  }
}

variable "region" {
  description = "Region of the hub, such as europe-west4."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region is named like europe-west4."
  }
}

variable "availability_zone" {
  description = "Zone of the machines, such as europe-west4-a; null takes the first zone of the region that has the machine type."
  type        = string
  default     = null

  validation {
    condition     = var.availability_zone == null || can(regex("^[a-z]+-[a-z]+[0-9]+-[a-z0-9]+$", var.availability_zone))
    error_message = "A zone is named like europe-west4-a."
  }
}

variable "instance_type" {
  description = "Machine type, such as a2-highgpu-1g. Types of the a2, a3, a4, g2 and g4 families bring their GPUs."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*-[a-z0-9-]+$", var.instance_type))
    error_message = "A machine type is named like a2-highgpu-1g or n1-standard-8."
  }
}

variable "accelerator" {
  description = "GPUs to attach to a machine type of the n1 family, such as { type = \"nvidia-tesla-t4\", count = 1 }; null for every other family."
  type = object({
    type  = string
    count = number
  })
  default = null

  validation {
    condition     = var.accelerator == null || try(contains([1, 2, 4, 8], var.accelerator.count), false)
    error_message = "1, 2, 4 or 8 GPUs can be attached to a machine."
  }
}

variable "market" {
  description = "on-demand, or spot: cheaper, and Google may take it back at any time."
  type        = string

  validation {
    condition     = contains(["on-demand", "spot"], var.market)
    error_message = "market must be on-demand or spot."
  }
}

variable "nodes" {
  description = "Number of machines of the hub."
  type        = number
  default     = 1

  validation {
    condition     = var.nodes >= 1 && floor(var.nodes) == var.nodes
    error_message = "nodes must be a whole number, 1 or more."
  }
}

variable "max_price_usd_hour" {
  description = "Taken so that all clouds have the same inputs, and without effect here: Google sets the spot price and takes no bid. harchos compares the price with it before it creates the hub."
  type        = number
  default     = null

  validation {
    condition     = var.max_price_usd_hour == null || try(var.max_price_usd_hour > 0, false)
    error_message = "max_price_usd_hour must be positive, or null."
  }
}

variable "image" {
  description = "Image or image family of the boot disk, as in projects/P/global/images/family/F; null takes Google's Deep Learning VM (Ubuntu 24.04, NVIDIA driver) where there is a GPU, else Ubuntu 24.04. It needs cloud-init and Python 3.11."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("^(https://[a-z.]+/compute/v1/)?projects/[a-z0-9.:-]+/global/images/(family/)?[a-z0-9-]+$", var.image))
    error_message = "An image is given as projects/PROJECT/global/images/NAME or projects/PROJECT/global/images/family/FAMILY."
  }
}

variable "disk_gib" {
  description = "Size of the boot disk of each machine in GiB."
  type        = number
  default     = 100

  validation {
    condition     = var.disk_gib >= 10 && var.disk_gib <= 65536 && floor(var.disk_gib) == var.disk_gib
    error_message = "disk_gib must be a whole number from 10 to 65536."
  }
}

variable "ingress" {
  description = "TCP ports that the workload exposes, each with the IPv4 ranges that may reach it. Empty: nothing can reach the hub, and its machines have no public address."
  type = list(object({
    port  = number
    cidrs = list(string)
  }))
  default = []

  validation {
    condition     = alltrue([for rule in var.ingress : rule.port >= 1 && rule.port <= 65535 && floor(rule.port) == rule.port])
    error_message = "A port is a whole number from 1 to 65535."
  }
  validation {
    condition     = alltrue([for rule in var.ingress : length(rule.cidrs) > 0 && alltrue([for cidr in rule.cidrs : can(cidrnetmask(cidr))])])
    error_message = "Each port needs at least one IPv4 range such as 203.0.113.0/24."
  }
  validation {
    condition     = length(distinct(var.ingress[*].port)) == length(var.ingress)
    error_message = "Name each port once, with all its ranges."
  }
}

variable "environment" {
  description = "Environment of the agent (not of the job). It can be read by whoever may describe the machine: no secrets."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Names of the workload's secrets. The hub may read Secret Manager's harchos-<run>-<name> of each (dots and underscores become hyphens), and no other."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.secrets : can(regex("^[A-Za-z0-9._-]+$", name))])
    error_message = "A secret is named with letters, digits, dots, underscores and hyphens."
  }
}

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
  description = "Time at which the hub ends itself, RFC 3339 in UTC (2026-11-24T06:00:00Z)."
  type        = string

  validation {
    condition     = can(timeadd(var.expires, "0s")) && endswith(var.expires, "Z")
    error_message = "expires must be an RFC 3339 time in UTC such as 2026-11-24T06:00:00Z."
  }
}

variable "mailbox" {
  description = "Blob Storage URL through which controller and hub talk; the hub uses <mailbox>/<run>/<hub>/. The storage account lies in `shared_resource_group`."
  type        = string

  validation {
    condition     = can(regex("^az://[a-z0-9]{3,24}/[a-z0-9][a-z0-9-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]+)?$", var.mailbox))
    error_message = "The mailbox of a hub on Azure must be an az://ACCOUNT/CONTAINER[/PREFIX] URL."
  }
}

variable "shared_resource_group" {
  description = "Resource group that outlives hubs: the storage account of the mailbox and the key vault lie in it."
  type        = string
  default     = "harchos"

  validation {
    condition     = can(regex("^[A-Za-z0-9._()-]{0,89}[A-Za-z0-9_()-]$", var.shared_resource_group))
    error_message = "A resource group is named with at most 90 letters, digits, dots, underscores, hyphens and parentheses, and does not end in a dot."
  }
}

variable "region" {
  description = "Region of the hub, such as westeurope."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]+$", var.region))
    error_message = "A region is named like westeurope, in lower-case letters and digits."
  }
}

variable "availability_zone" {
  description = "Zone of the machines: 1, 2 or 3; null leaves it to Azure."
  type        = string
  default     = null

  validation {
    condition     = var.availability_zone == null || can(regex("^[1-3]$", var.availability_zone))
    error_message = "A zone of Azure is 1, 2 or 3."
  }
}

variable "instance_type" {
  description = "Size of the machines, such as Standard_NC24ads_A100_v4."
  type        = string

  validation {
    condition     = can(regex("^Standard_[A-Za-z0-9_-]+$", var.instance_type))
    error_message = "A size is named like Standard_NC24ads_A100_v4."
  }
}

variable "market" {
  description = "on-demand, or spot: cheaper, and Azure may take it back at any time."
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
  description = "Highest price in USD per machine-hour at which a spot machine is kept; null pays up to the on-demand price. Without effect on demand."
  type        = number
  default     = null

  validation {
    condition     = var.max_price_usd_hour == null || try(var.max_price_usd_hour > 0, false)
    error_message = "max_price_usd_hour must be positive, or null."
  }
}

variable "image" {
  description = "Image of the machines: publisher:offer:sku:version, or the resource id of an image; null takes Microsoft's Ubuntu-HPC 24.04 (drivers, Docker) where there is a GPU, else Canonical's Ubuntu 24.04. It needs cloud-init and Python 3.11."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("^([^/:]+:[^/:]+:[^/:]+:[^/:]+|/.+/.+)$", var.image))
    error_message = "An image is given as publisher:offer:sku:version or as a resource id."
  }
}

variable "trusted_launch" {
  description = "Virtual TPM with measured boot, and Secure Boot where there is no GPU (GPU drivers are not signed for it). null: wherever Azure has it, which is everywhere but on ND A100 v4; false for an image of your own that it does not start so."
  type        = bool
  default     = null
}

variable "disk_gib" {
  description = "Size of the OS disk of each machine in GiB. The HPC images need 64."
  type        = number
  default     = 100

  validation {
    condition     = var.disk_gib >= 30 && var.disk_gib <= 4095 && floor(var.disk_gib) == var.disk_gib
    error_message = "disk_gib must be a whole number from 30 to 4095."
  }
}

variable "ingress" {
  description = "TCP ports that the workload exposes, each with the IPv4 ranges that may reach it. Empty: nothing can reach the hub, whatever its address."
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
  description = "Names of the workload's secrets. The hub may read the key vault's harchos-<run>-<name> of each (dots and underscores become hyphens), and no other."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.secrets : can(regex("^[A-Za-z0-9._-]+$", name))])
    error_message = "A secret is named with letters, digits, dots, underscores and hyphens."
  }
}

variable "key_vault" {
  description = "Name of the key vault in `shared_resource_group` that keeps the secrets, with role-based access; needed where `secrets` is not empty."
  type        = string
  default     = null

  validation {
    condition     = var.key_vault == null || can(regex("^[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]$", var.key_vault))
    error_message = "A key vault is named with 3 to 24 letters, digits and hyphens."
  }
}

variable "ssh_public_key" {
  description = "Azure makes no Linux machine without an SSH key. The default is one whose private half nobody has (README.md says how to check that); nothing listens for it, no port is open for it, and there is no other way to log in."
  type        = string
  default     = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGnv+VwpLXu5bjhLxbpfyJnMGm/1dol4getGtQlo9DVm nobody"

  validation {
    condition     = can(regex("^ssh-(ed25519|rsa) [A-Za-z0-9+/=]+( .*)?$", var.ssh_public_key))
    error_message = "Azure takes ssh-ed25519 and ssh-rsa keys (2048 bits or more)."
  }
}

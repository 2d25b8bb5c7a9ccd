variable "cloud" {
  description = "Cloud that the machine is rented from: aws, gcp or azure. Says how it learns of a spot notice and how it is given back."
  type        = string

  validation {
    condition     = contains(["aws", "gcp", "azure"], var.cloud)
    error_message = "cloud must be aws, gcp or azure."
  }
}

variable "run" {
  description = "Name of the run, <workload>-<6 hex>."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]*$", var.run))
    error_message = "A run is named with lower-case letters, digits, dots and hyphens, starting with a letter or digit."
  }
}

variable "hub" {
  description = "Name of the hub, <run>-h<n>."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]*$", var.hub))
    error_message = "A hub is named with lower-case letters, digits, dots and hyphens, starting with a letter or digit."
  }
}

variable "workload" {
  description = "Name of the workload that the run carries out."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]*$", var.workload))
    error_message = "A workload is named with lower-case letters, digits, dots and hyphens, starting with a letter or digit."
  }
}

variable "expires" {
  description = "Time at which the machine powers itself off, RFC 3339 (2026-11-24T06:00:00Z)."
  type        = string

  validation {
    condition     = can(timeadd(var.expires, "0s"))
    error_message = "expires must be an RFC 3339 time such as 2026-11-24T06:00:00Z."
  }
}

variable "mailbox" {
  description = "Object-store URL through which controller and hub talk; the machine reads and writes <mailbox>/<run>/<hub>/."
  type        = string

  validation {
    condition     = can(regex("^(s3|gs|az)://[^/?#]+(/[^?#]*)?$", var.mailbox))
    error_message = "A rented machine can only reach a mailbox at an s3://, gs:// or az:// URL."
  }
}

variable "nodes" {
  description = "Number of machines of the hub: one text is rendered for each. Node 0 is the hub itself; node i works under the name <hub>-n<i>."
  type        = number
  default     = 1

  validation {
    condition     = var.nodes >= 1 && floor(var.nodes) == var.nodes
    error_message = "nodes must be a whole number, 1 or more."
  }
}

variable "environment" {
  description = "Environment of the agent (not of the job), such as AWS_ENDPOINT_URL of an S3 store that is not Amazon's. It can be read by whoever may describe the machine: no secrets."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name))])
    error_message = "Names in environment must be letters, digits and underscores, not starting with a digit."
  }
}

variable "run" {
  description = "Name of the run, <workload>-<6 hex>."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]*$", var.run))
    error_message = "A run is named with lower-case letters, digits, dots and hyphens, starting with a letter or digit."
  }
}

variable "hub" {
  description = "Name of the hub, <run>-h<n>; every process of the hub carries it as HARCHOS_HUB."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]*$", var.hub))
    error_message = "A hub is named with lower-case letters, digits, dots and hyphens, starting with a letter or digit."
  }
}

variable "expires" {
  description = "Time at which the hub ends itself, RFC 3339 (2026-11-24T06:00:00Z)."
  type        = string

  validation {
    condition     = can(timeadd(var.expires, "0s"))
    error_message = "expires must be an RFC 3339 time such as 2026-11-24T06:00:00Z."
  }
}

variable "mailbox" {
  description = "Object-store URL through which controller and hub talk; the hub uses <mailbox>/<run>/<hub>/."
  type        = string

  validation {
    condition     = can(regex("^(file|s3|gs|az)://.", var.mailbox))
    error_message = "The mailbox must be a file://, s3://, gs:// or az:// URL."
  }
}

variable "directory" {
  description = "Absolute path of the hub's own directory on this machine; the agent creates it."
  type        = string

  validation {
    condition     = startswith(var.directory, "/") && length(var.directory) > 1
    error_message = "The hub's directory must be an absolute path."
  }
}

variable "python" {
  description = "Absolute path of the Python interpreter (3.11 or later, with obstore) that runs the agent."
  type        = string

  validation {
    condition     = startswith(var.python, "/")
    error_message = "The interpreter must be given by its absolute path."
  }
}

variable "agent" {
  description = "Absolute path of agent.pyz, the program that runs on every hub."
  type        = string

  validation {
    condition     = startswith(var.agent, "/")
    error_message = "The agent must be given by its absolute path."
  }
}

variable "nodes" {
  description = "Number of agents of the hub. Node 0 is the hub itself; node i works as <hub>-n<i> in <directory>-n<i>."
  type        = number
  default     = 1

  validation {
    condition     = var.nodes >= 1 && floor(var.nodes) == var.nodes
    error_message = "nodes must be a whole number, 1 or more."
  }
}

variable "ready_timeout_s" {
  description = "Seconds to wait for the hub's first heartbeat before the apply fails."
  type        = number
  default     = 60

  validation {
    condition     = var.ready_timeout_s > 0
    error_message = "ready_timeout_s must be positive."
  }
}

variable "stop_grace_s" {
  description = "Seconds the job gets between the polite signal and the final one when the hub is destroyed."
  type        = number
  default     = 30

  validation {
    condition     = var.stop_grace_s >= 0
    error_message = "stop_grace_s must not be negative."
  }
}

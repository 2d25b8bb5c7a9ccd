terraform {
  required_version = ">= 1.5.0"
}

variable "python" {
  description = "Absolute path of a Python interpreter that has obstore."
  type        = string
}

variable "agent" {
  description = "Absolute path of agent.pyz."
  type        = string
}

variable "expires" {
  description = "Time at which the hub ends itself, RFC 3339."
  type        = string
}

module "hub" {
  source = "../.."

  run       = "digits-0a1b2c"
  hub       = "digits-0a1b2c-h1"
  expires   = var.expires
  mailbox   = "file://${abspath(path.module)}/mailbox"
  directory = "${abspath(path.module)}/machine"
  python    = var.python
  agent     = var.agent
}

output "directory" {
  description = "Where the hub keeps its files."
  value       = module.hub.directory
}

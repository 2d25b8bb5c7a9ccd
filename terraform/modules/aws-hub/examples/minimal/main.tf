terraform {
  required_version = ">= 1.5.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.47"
    }
  }
}

provider "aws" {
  region = "eu-north-1"
}

variable "mailbox" {
  description = "Your bucket, s3://BUCKET[/PREFIX]."
  type        = string
}

variable "expires" {
  description = "Time at which the hub ends itself, RFC 3339."
  type        = string
}

module "hub" {
  source = "../.."

  run           = "digits-0a1b2c"
  hub           = "digits-0a1b2c-h1"
  workload      = "digits"
  expires       = var.expires
  mailbox       = var.mailbox
  region        = "eu-north-1"
  instance_type = "g6.xlarge"
  market        = "on-demand"
}

output "instances" {
  description = "EC2 instance id of each node."
  value       = module.hub.instances
}

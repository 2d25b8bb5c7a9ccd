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

# Two spot nodes side by side, one port open to one network, and a secret.
module "hub" {
  source = "../.."

  run                = "llm-0a1b2c"
  hub                = "llm-0a1b2c-h1"
  workload           = "llm"
  expires            = var.expires
  mailbox            = var.mailbox
  region             = "eu-north-1"
  availability_zone  = "eu-north-1b"
  instance_type      = "g6.12xlarge"
  market             = "spot"
  nodes              = 2
  max_price_usd_hour = 2.5
  disk_gib           = 200
  ingress            = [{ port = 8000, cidrs = ["203.0.113.0/24"] }]
  environment        = { AWS_REGION = "eu-west-1" }
  secrets            = ["HF_TOKEN"]
}

output "instances" {
  description = "EC2 instance id of each node."
  value       = module.hub.instances
}

output "addresses" {
  description = "Public IPv4 address of each node."
  value       = module.hub.addresses
}

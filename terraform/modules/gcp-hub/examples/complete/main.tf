terraform {
  required_version = ">= 1.5.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
}

variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "mailbox" {
  description = "Mailbox, gs://BUCKET[/PREFIX]; the bucket has uniform bucket-level access."
  type        = string
}

variable "expires" {
  description = "Time at which the hub ends itself, RFC 3339 in UTC."
  type        = string
}

provider "google" {
  project = var.project
  region  = "us-central1"
}

# Two machines side by side on the spot market, serving a port to one network.
module "hub" {
  source = "../.."

  run                = "llm-4d5e6f"
  hub                = "llm-4d5e6f-h2"
  workload           = "llm"
  expires            = var.expires
  mailbox            = var.mailbox
  project            = var.project
  region             = "us-central1"
  availability_zone  = "us-central1-a"
  instance_type      = "a2-highgpu-8g"
  market             = "spot"
  nodes              = 2
  max_price_usd_hour = 20
  image              = "projects/deeplearning-platform-release/global/images/family/common-cu129-ubuntu-2404-nvidia-580"
  disk_gib           = 500
  ingress            = [{ port = 8000, cidrs = ["203.0.113.0/24"] }]
  environment        = { HTTPS_PROXY = "http://proxy.example:3128" }
  secrets            = ["HF_TOKEN"]
}

output "addresses" {
  description = "Where the service answers."
  value       = module.hub.addresses
}

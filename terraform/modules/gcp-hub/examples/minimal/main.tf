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
  region  = "europe-west4"
}

module "hub" {
  source = "../.."

  run           = "digits-0a1b2c"
  hub           = "digits-0a1b2c-h1"
  workload      = "digits"
  expires       = var.expires
  mailbox       = var.mailbox
  project       = var.project
  region        = "europe-west4"
  instance_type = "g2-standard-4"
  market        = "on-demand"
}

output "instances" {
  description = "The machine of the hub."
  value       = module.hub.instances
}

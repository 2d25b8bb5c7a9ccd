terraform {
  required_version = ">= 1.5.0"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.80"
    }
  }
}

variable "subscription" {
  description = "Id of the Azure subscription."
  type        = string
}

variable "mailbox" {
  description = "Mailbox, az://ACCOUNT/CONTAINER[/PREFIX]; the storage account is in the resource group harchos."
  type        = string
}

variable "expires" {
  description = "Time at which the hub ends itself, RFC 3339 in UTC."
  type        = string
}

provider "azurerm" {
  subscription_id                 = var.subscription
  resource_provider_registrations = "none"
  storage_use_azuread             = true

  features {
    resource_group {
      prevent_deletion_if_contains_resources = false
    }
    virtual_machine {
      delete_os_disk_on_deletion     = true
      skip_shutdown_and_force_delete = true
    }
  }
}

# Two machines side by side on the spot market, serving a port to one network.
module "hub" {
  source = "../.."

  run                   = "llm-4d5e6f"
  hub                   = "llm-4d5e6f-h2"
  workload              = "llm"
  expires               = var.expires
  mailbox               = var.mailbox
  shared_resource_group = "harchos"
  region                = "eastus"
  availability_zone     = "1"
  instance_type         = "Standard_ND96isr_H100_v5"
  market                = "spot"
  nodes                 = 2
  max_price_usd_hour    = 40
  image                 = "microsoft-dsvm:ubuntu-hpc:2404:latest"
  disk_gib              = 500
  ingress               = [{ port = 8000, cidrs = ["203.0.113.0/24"] }]
  environment           = { HTTPS_PROXY = "http://proxy.example:3128" }
  secrets               = ["HF_TOKEN"]
  key_vault             = "harchos-vault"
}

output "addresses" {
  description = "Where the service answers."
  value       = module.hub.addresses
}

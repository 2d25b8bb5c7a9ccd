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

module "hub" {
  source = "../.."

  run           = "digits-0a1b2c"
  hub           = "digits-0a1b2c-h1"
  workload      = "digits"
  expires       = var.expires
  mailbox       = var.mailbox
  region        = "westeurope"
  instance_type = "Standard_NC24ads_A100_v4"
  market        = "on-demand"
}

output "instances" {
  description = "The machine of the hub."
  value       = module.hub.instances
}

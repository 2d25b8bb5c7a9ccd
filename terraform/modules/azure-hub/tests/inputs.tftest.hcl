mock_provider "azurerm" {
  mock_data "azurerm_client_config" {
    defaults = { subscription_id = "00000000-0000-0000-0000-000000000001" }
  }
}

variables {
  run           = "digits-0a1b2c"
  hub           = "digits-0a1b2c-h1"
  workload      = "digits"
  expires       = "2026-11-24T06:00:00Z"
  mailbox       = "az://mailboxes/hubs"
  region        = "westeurope"
  instance_type = "Standard_NC24ads_A100_v4"
  market        = "on-demand"
}

run "a_hub_is_closed_and_encrypted" {
  command = plan

  assert {
    condition     = toset(keys(azurerm_network_security_rule.hub)) == toset(["web-outbound", "closed-inbound", "closed-outbound"])
    error_message = "A hub that exposes nothing must have no rule that lets anything in."
  }
  assert {
    condition = alltrue([for way in ["inbound", "outbound"] : (
      azurerm_network_security_rule.hub["closed-${way}"].access == "Deny" && azurerm_network_security_rule.hub["closed-${way}"].priority == 4096
      && azurerm_network_security_rule.hub["closed-${way}"].source_address_prefixes == toset(["0.0.0.0/0"])
      && azurerm_network_security_rule.hub["closed-${way}"].destination_address_prefix == "*"
    )])
    error_message = "What no other rule allows must be denied, before Azure's own rules let the network in and everything out."
  }
  assert {
    condition     = azurerm_network_security_rule.hub["web-outbound"].destination_port_ranges == toset(["80", "443"])
    error_message = "Only the web is reached."
  }
  assert {
    condition     = azurerm_subnet.hub.default_outbound_access_enabled == false
    error_message = "The way out must be the hub's own address."
  }
  assert {
    condition     = azurerm_linux_virtual_machine.node[0].encryption_at_host_enabled && azurerm_linux_virtual_machine.node[0].disable_password_authentication && !azurerm_linux_virtual_machine.node[0].allow_extension_operations
    error_message = "Disks are encrypted down to the host, nobody logs in by password, nobody puts extensions on the machine."
  }
}

run "everything_that_can_carries_the_tags" {
  command = plan

  assert {
    condition = azurerm_linux_virtual_machine.node[0].tags == tomap({
      "harchos:run"      = "digits-0a1b2c"
      "harchos:hub"      = "digits-0a1b2c-h1"
      "harchos:expires"  = "2026-11-24T06:00:00Z"
      "harchos:workload" = "digits"
    })
    error_message = "The machine is found by these tags."
  }
  assert {
    condition = toset([
      azurerm_resource_group.hub.tags, azurerm_virtual_network.hub.tags, azurerm_network_security_group.hub.tags,
      azurerm_public_ip.node[0].tags, azurerm_network_interface.node[0].tags, azurerm_user_assigned_identity.hub.tags,
      azurerm_dev_test_global_vm_shutdown_schedule.node[0].tags,
    ]) == toset([azurerm_linux_virtual_machine.node[0].tags])
    error_message = "All resources carry the same tags."
  }
}

run "the_identity_reaches_the_prefix_of_the_run_and_no_secret" {
  command = plan
  variables {
    mailbox = "az://mailboxes/hubs/team/a"
  }

  assert {
    condition     = azurerm_role_assignment.mailbox.scope == "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/harchos/providers/Microsoft.Storage/storageAccounts/mailboxes/blobServices/default/containers/hubs"
    error_message = "The role is for the mailbox's container."
  }
  assert {
    condition     = length(regexall("StringStartsWith 'team/a/digits-0a1b2c/'", azurerm_role_assignment.mailbox.condition)) == 2
    error_message = "Blobs outside the run's prefix must be out of reach, to read and to list."
  }
  assert {
    condition     = length(regexall("[\\n]|  ", azurerm_role_assignment.mailbox.condition)) == 0
    error_message = "The condition is one line, as Azure gives it back."
  }
  assert {
    condition     = length(azurerm_role_assignment.secret) == 0
    error_message = "No secret was named."
  }
}

run "named_secrets_of_the_run_can_be_read" {
  command = plan
  variables {
    secrets   = ["HF_TOKEN"]
    key_vault = "harchos-vault"
  }

  assert {
    condition     = endswith(azurerm_role_assignment.secret["harchos-digits-0a1b2c-HF-TOKEN"].scope, "/resourceGroups/harchos/providers/Microsoft.KeyVault/vaults/harchos-vault/secrets/harchos-digits-0a1b2c-HF-TOKEN")
    error_message = "The role is for the one secret, not for the vault."
  }
}

run "secrets_without_a_vault_are_refused" {
  command = plan
  variables {
    secrets = ["HF_TOKEN"]
  }
  expect_failures = [azurerm_linux_virtual_machine.node]
}

run "an_exposed_port_opens_to_its_ranges_only" {
  command = plan
  variables {
    ingress = [{ port = 8000, cidrs = ["203.0.113.0/24"] }]
  }

  assert {
    condition     = azurerm_network_security_rule.hub["port-8000"].source_address_prefixes == toset(["203.0.113.0/24"]) && azurerm_network_security_rule.hub["port-8000"].destination_port_ranges == toset(["8000"])
    error_message = "One port, from the ranges that were named."
  }
}

run "several_nodes_stand_close_and_talk_to_each_other" {
  command = plan
  variables {
    nodes = 3
  }

  assert {
    condition     = length(azurerm_linux_virtual_machine.node) == 3 && length(distinct(azurerm_linux_virtual_machine.node[*].name)) == 3
    error_message = "Three machines, each with its own name."
  }
  assert {
    condition     = length(azurerm_proximity_placement_group.hub) == 1 && contains(keys(azurerm_network_security_rule.hub), "nodes-inbound")
    error_message = "They must stand close and be able to talk."
  }
  assert {
    condition     = length(azurerm_availability_set.hub) == 1
    error_message = "Without a common set they have no InfiniBand."
  }
}

run "spot_nodes_are_in_no_availability_set_which_azure_refuses" {
  command = plan
  variables {
    nodes  = 2
    market = "spot"
  }

  assert {
    condition     = length(azurerm_availability_set.hub) == 0 && length(azurerm_proximity_placement_group.hub) == 1
    error_message = "They stand close, and that is all."
  }
}

run "nodes_of_a_named_zone_are_in_no_availability_set_which_azure_refuses" {
  command = plan
  variables {
    nodes             = 2
    availability_zone = "1"
  }

  assert {
    condition     = length(azurerm_availability_set.hub) == 0
    error_message = "A set has no zone."
  }
}

run "spot_has_a_ceiling_and_leaves_nothing_when_evicted" {
  command = plan
  variables {
    market             = "spot"
    max_price_usd_hour = 1.25
  }

  assert {
    condition     = azurerm_linux_virtual_machine.node[0].priority == "Spot" && azurerm_linux_virtual_machine.node[0].eviction_policy == "Delete"
    error_message = "An evicted machine must be deleted: a deallocated one keeps its disk."
  }
  assert {
    condition     = azurerm_linux_virtual_machine.node[0].max_bid_price == 1.25
    error_message = "The accepted price is the ceiling."
  }
}

run "spot_without_ceiling_pays_up_to_the_on_demand_price" {
  command = plan
  variables {
    market = "spot"
  }

  assert {
    condition     = azurerm_linux_virtual_machine.node[0].max_bid_price == -1
    error_message = "-1 is Azure's word for up to the on-demand price."
  }
}

run "azure_ends_the_machine_two_minutes_after_its_own_end" {
  command = plan
  variables {
    expires = timeadd(timestamp(), "8h")
  }

  assert {
    condition     = azurerm_dev_test_global_vm_shutdown_schedule.node[0].enabled
    error_message = "A hub of eight hours can be ended by a daily schedule."
  }
  assert {
    condition     = azurerm_dev_test_global_vm_shutdown_schedule.node[0].daily_recurrence_time == formatdate("hhmm", timeadd(var.expires, "2m")) && azurerm_dev_test_global_vm_shutdown_schedule.node[0].timezone == "UTC"
    error_message = "Two minutes after the expiry."
  }
}

run "a_daily_schedule_does_not_end_a_hub_of_two_days_early" {
  command = plan
  variables {
    expires = timeadd(timestamp(), "48h")
  }

  assert {
    condition     = !azurerm_dev_test_global_vm_shutdown_schedule.node[0].enabled
    error_message = "Its first turn would come a day too soon."
  }
}

run "gpu_sizes_get_the_image_with_the_driver" {
  command = plan

  assert {
    condition     = azurerm_linux_virtual_machine.node[0].source_image_reference[0].offer == "ubuntu-hpc" && azurerm_linux_virtual_machine.node[0].source_image_reference[0].sku == "2404"
    error_message = "A GPU needs its driver."
  }
  assert {
    condition     = !azurerm_linux_virtual_machine.node[0].secure_boot_enabled && azurerm_linux_virtual_machine.node[0].vtpm_enabled
    error_message = "Secure Boot would refuse the driver; the boot is measured all the same."
  }
}

run "sizes_without_trusted_launch_are_made_without_it" {
  command = plan
  variables {
    instance_type = "Standard_ND96amsr_A100_v4"
  }

  assert {
    condition     = !azurerm_linux_virtual_machine.node[0].vtpm_enabled && !azurerm_linux_virtual_machine.node[0].secure_boot_enabled
    error_message = "Azure refuses ND A100 v4 with trusted launch."
  }
}

run "v100_gets_the_image_with_the_driver_it_can_use" {
  command = plan
  variables {
    instance_type = "Standard_NC6s_v3"
  }

  assert {
    condition     = azurerm_linux_virtual_machine.node[0].source_image_reference[0].sku == "2404-v100"
    error_message = "V100 has its own image."
  }
}

run "amd_gpus_get_rocm" {
  command = plan
  variables {
    instance_type = "Standard_ND96isr_MI300X_v5"
  }

  assert {
    condition     = azurerm_linux_virtual_machine.node[0].source_image_reference[0].sku == "2404-rocm"
    error_message = "MI300X needs ROCm."
  }
}

run "sizes_without_gpu_get_plain_ubuntu_and_secure_boot" {
  command = plan
  variables {
    instance_type = "Standard_D4s_v5"
  }

  assert {
    condition     = azurerm_linux_virtual_machine.node[0].source_image_reference[0].publisher == "Canonical" && azurerm_linux_virtual_machine.node[0].secure_boot_enabled
    error_message = "Plain Ubuntu boots with Secure Boot."
  }
}

run "graphics_sizes_need_an_image_of_their_own" {
  command = plan
  variables {
    instance_type = "Standard_NV36ads_A10_v5"
  }
  expect_failures = [azurerm_linux_virtual_machine.node]
}

run "an_image_may_be_given_by_its_id" {
  command = plan
  variables {
    instance_type = "Standard_NV36ads_A10_v5"
    image         = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/grid"
  }

  assert {
    condition     = azurerm_linux_virtual_machine.node[0].source_image_id == var.image && length(azurerm_linux_virtual_machine.node[0].source_image_reference) == 0
    error_message = "The image of the user is the one that boots."
  }
}

run "a_long_hub_keeps_a_name_of_its_own" {
  command = plan
  variables {
    hub = "a-workload-with-a-name-that-is-quite-a-bit-too-long-for-azure-0a1b2c-h1"
  }

  assert {
    condition     = length(azurerm_linux_virtual_machine.node[0].name) <= 64 && endswith(azurerm_resource_group.hub.name, substr(sha256(var.hub), 0, 8))
    error_message = "A name that was cut ends in a hash of the whole."
  }
}

run "a_mailbox_of_another_cloud_is_refused" {
  command = plan
  variables {
    mailbox = "gs://mailbox"
  }
  expect_failures = [var.mailbox]
}

run "a_mailbox_that_would_break_out_of_the_condition_is_refused" {
  command = plan
  variables {
    mailbox = "az://mailboxes/hubs/a' OR 'a"
  }
  expect_failures = [var.mailbox]
}

run "counts_prices_and_ports_that_cannot_be_are_refused" {
  command = plan
  variables {
    nodes              = 0
    disk_gib           = 1
    max_price_usd_hour = -1
    market             = "low-priority"
    availability_zone  = "westeurope-1"
    ingress            = [{ port = 0, cidrs = ["everyone"] }]
    ssh_public_key     = "-----BEGIN OPENSSH PRIVATE KEY-----"
  }
  expect_failures = [var.nodes, var.disk_gib, var.max_price_usd_hour, var.market, var.availability_zone, var.ingress, var.ssh_public_key]
}

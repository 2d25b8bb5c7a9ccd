locals {
  # A machine's name is at most 64 characters.
  long_name = "harchos-${replace(var.hub, ".", "-")}"
  name      = length(local.long_name) <= 60 ? local.long_name : "${substr(local.long_name, 0, 51)}-${substr(sha256(var.hub), 0, 8)}"

  tags = {
    "harchos:run"      = var.run
    "harchos:hub"      = var.hub
    "harchos:expires"  = var.expires
    "harchos:workload" = var.workload
  }
  # What cannot carry tags is found by these words.
  description = join(" ", [for key, value in local.tags : "${key}=${value}"])

  mailbox    = regex("^az://(?P<account>[^/]+)/(?P<container>[^/]+)(?P<prefix>.*)$", var.mailbox)
  root       = trim(local.mailbox.prefix, "/")
  run_prefix = local.root == "" ? "${var.run}/" : "${local.root}/${var.run}/"
  shared     = "/subscriptions/${data.azurerm_client_config.current.subscription_id}/resourceGroups/${var.shared_resource_group}/providers"
  container  = "${local.shared}/Microsoft.Storage/storageAccounts/${local.mailbox.account}/blobServices/default/containers/${local.mailbox.container}"

  # Azure's metadata and names are reached past every rule.
  range = "10.0.0.0/20"
  rules = merge(
    {
      for index, rule in var.ingress : "port-${rule.port}" =>
      { priority = 100 + index, direction = "Inbound", access = "Allow", protocol = "Tcp", from = rule.cidrs, to = local.range, ports = [tostring(rule.port)] }
    },
    {
      for direction in var.nodes > 1 ? ["Inbound", "Outbound"] : [] : "nodes-${lower(direction)}" =>
      { priority = 4000, direction = direction, access = "Allow", protocol = "*", from = [local.range], to = local.range, ports = ["0-65535"] }
    },
    {
      web-outbound = { priority = 4001, direction = "Outbound", access = "Allow", protocol = "Tcp", from = [local.range], to = "Internet", ports = ["80", "443"] }
    },
    {
      for direction in ["Inbound", "Outbound"] : "closed-${lower(direction)}" =>
      { priority = 4096, direction = direction, access = "Deny", protocol = "*", from = ["0.0.0.0/0"], to = "*", ports = ["0-65535"] }
    },
  )

  spot = var.market == "spot"
  gpu  = can(regex("^Standard_N[CDGV]", var.instance_type))
  trusted = (
    var.trusted_launch != null ? var.trusted_launch :
    !can(regex("^Standard_ND96(asr_v4|amsr_A100_v4)$", var.instance_type))
  )
  # Graphics sizes want GRID drivers, which Azure's HPC images do not have.
  graphics = can(regex("^Standard_N[GV]|_A10_v4$", var.instance_type))
  hpc_sku = (
    can(regex("_MI300X_", var.instance_type)) ? "2404-rocm" :
    can(regex("^Standard_(NC[0-9]+r?s_v3|ND40rs_v2)$", var.instance_type)) ? "2404-v100" : "2404"
  )
  urn = split(":", (
    var.image != null ? var.image :
    local.gpu ? "microsoft-dsvm:ubuntu-hpc:${local.hpc_sku}:latest" : "Canonical:ubuntu-24_04-lts:server:latest"
  ))

  # The schedule is daily: it is right only where its first turn is the expiry. Two minutes later, so that the
  # machine ends itself first.
  deadline  = timeadd(var.expires, "2m")
  within_24 = timecmp(local.deadline, timeadd(terraform_data.planned.input, "24h")) < 0

  blob = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
  # Of an identity's role on the container, only what is under the run's prefix.
  run_prefix_only = trimspace(replace(<<-CONDITION
    (
      (
        !(ActionMatches{'${local.blob}/read'} AND NOT SubOperationMatches{'Blob.List'})
        AND !(ActionMatches{'${local.blob}/write'})
        AND !(ActionMatches{'${local.blob}/add/action'})
        AND !(ActionMatches{'${local.blob}/delete'})
      )
      OR (@Resource[${local.blob}:path] StringStartsWith '${local.run_prefix}')
    )
    AND
    (
      (!(ActionMatches{'${local.blob}/read'} AND SubOperationMatches{'Blob.List'}))
      OR (@Request[${local.blob}:prefix] StringStartsWith '${local.run_prefix}')
    )
  CONDITION
  , "/\\s+/", " "))
}

module "boot" {
  source = "../hub-boot"

  cloud       = "azure"
  run         = var.run
  hub         = var.hub
  workload    = var.workload
  expires     = var.expires
  mailbox     = var.mailbox
  nodes       = var.nodes
  environment = var.environment
}

data "azurerm_client_config" "current" {}

# Everything of a hub but two kinds of role assignment lies in this group: who deletes it deletes the hub.
resource "azurerm_resource_group" "hub" {
  name     = local.name
  location = var.region
  tags     = local.tags
}

# Network: nothing comes in but `ingress` and the hub's own machines, and nothing goes out but to the web.

resource "azurerm_virtual_network" "hub" {
  name                = local.name
  resource_group_name = azurerm_resource_group.hub.name
  location            = var.region
  address_space       = [local.range]
  tags                = local.tags
}

resource "azurerm_subnet" "hub" {
  name                            = local.name
  resource_group_name             = azurerm_resource_group.hub.name
  virtual_network_name            = azurerm_virtual_network.hub.name
  address_prefixes                = [local.range]
  default_outbound_access_enabled = false
}

resource "azurerm_network_security_group" "hub" {
  name                = local.name
  resource_group_name = azurerm_resource_group.hub.name
  location            = var.region
  tags                = local.tags
}

resource "azurerm_network_security_rule" "hub" {
  for_each = local.rules

  name                        = each.key
  resource_group_name         = azurerm_resource_group.hub.name
  network_security_group_name = azurerm_network_security_group.hub.name
  priority                    = each.value.priority
  direction                   = each.value.direction
  access                      = each.value.access
  protocol                    = each.value.protocol
  source_address_prefixes     = each.value.from
  source_port_range           = "*"
  destination_address_prefix  = each.value.to
  destination_port_ranges     = each.value.ports
}

resource "azurerm_subnet_network_security_group_association" "hub" {
  subnet_id                 = azurerm_subnet.hub.id
  network_security_group_id = azurerm_network_security_group.hub.id
}

# The way out: a NAT gateway costs nine times as much, and goes on costing when the machine is gone.
resource "azurerm_public_ip" "node" {
  count = var.nodes

  name                = "${local.name}-n${count.index}"
  resource_group_name = azurerm_resource_group.hub.name
  location            = var.region
  sku                 = "Standard"
  allocation_method   = "Static"
  tags                = local.tags
}

resource "azurerm_network_interface" "node" {
  count = var.nodes

  name                = "${local.name}-n${count.index}"
  resource_group_name = azurerm_resource_group.hub.name
  location            = var.region
  tags                = local.tags

  ip_configuration {
    name                          = "hub"
    subnet_id                     = azurerm_subnet.hub.id
    private_ip_address_allocation = "Dynamic"
    public_ip_address_id          = azurerm_public_ip.node[count.index].id
  }
}

# Identity: the run's prefix of the mailbox, the run's secrets, and the end of its own resource group.

resource "azurerm_user_assigned_identity" "hub" {
  name                = local.name
  resource_group_name = azurerm_resource_group.hub.name
  location            = var.region
  tags                = local.tags
}

resource "azurerm_role_assignment" "mailbox" {
  scope                            = local.container
  role_definition_name             = "HarchOS hub mailbox"
  principal_id                     = azurerm_user_assigned_identity.hub.principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
  description                      = local.description
  condition                        = local.run_prefix_only
  condition_version                = "2.0"
}

resource "azurerm_role_assignment" "secret" {
  for_each = toset([for name in var.secrets : "harchos-${replace("${var.run}-${name}", "/[._]/", "-")}"])

  scope                            = "${local.shared}/Microsoft.KeyVault/vaults/${coalesce(var.key_vault, "-")}/secrets/${each.key}"
  role_definition_name             = "Key Vault Secrets User"
  principal_id                     = azurerm_user_assigned_identity.hub.principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
  description                      = local.description
}

# A machine that is only powered off is billed as before: it must be able to give itself back.
resource "azurerm_role_assignment" "lifetime" {
  scope                            = azurerm_resource_group.hub.id
  role_definition_name             = "HarchOS hub lifetime"
  principal_id                     = azurerm_user_assigned_identity.hub.principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
  description                      = local.description
}

# Machines.

resource "azurerm_proximity_placement_group" "hub" {
  count = var.nodes > 1 ? 1 : 0

  name                = local.name
  resource_group_name = azurerm_resource_group.hub.name
  location            = var.region
  tags                = local.tags
}

# Only machines of one availability set reach each other over InfiniBand; Azure puts none of the spot market, and none
# of a named zone, into a set.
resource "azurerm_availability_set" "hub" {
  count = var.nodes > 1 && !local.spot && var.availability_zone == null ? 1 : 0

  name                         = local.name
  resource_group_name          = azurerm_resource_group.hub.name
  location                     = var.region
  proximity_placement_group_id = azurerm_proximity_placement_group.hub[0].id
  platform_fault_domain_count  = 2
  managed                      = true
  tags                         = local.tags
}

# The time of the first plan, kept: a later plan must not judge the schedule anew.
resource "terraform_data" "planned" {
  input = plantimestamp()

  lifecycle {
    ignore_changes = [input]
  }
}

resource "azurerm_linux_virtual_machine" "node" {
  count = var.nodes

  name                            = "${local.name}-n${count.index}"
  computer_name                   = "${local.name}-n${count.index}"
  resource_group_name             = azurerm_resource_group.hub.name
  location                        = var.region
  zone                            = var.availability_zone
  size                            = var.instance_type
  priority                        = local.spot ? "Spot" : "Regular"
  eviction_policy                 = local.spot ? "Delete" : null
  max_bid_price                   = local.spot ? coalesce(var.max_price_usd_hour, -1) : null
  proximity_placement_group_id    = one(azurerm_proximity_placement_group.hub[*].id)
  availability_set_id             = one(azurerm_availability_set.hub[*].id)
  network_interface_ids           = [azurerm_network_interface.node[count.index].id]
  source_image_id                 = length(local.urn) == 1 ? var.image : null
  custom_data                     = base64encode(module.boot.user_data[count.index])
  admin_username                  = "harchos"
  disable_password_authentication = true
  allow_extension_operations      = false
  encryption_at_host_enabled      = true
  secure_boot_enabled             = local.trusted && !local.gpu
  vtpm_enabled                    = local.trusted
  tags                            = local.tags

  admin_ssh_key {
    username   = "harchos"
    public_key = var.ssh_public_key
  }

  os_disk {
    name                 = "${local.name}-n${count.index}"
    caching              = "ReadWrite"
    storage_account_type = "StandardSSD_LRS"
    disk_size_gb         = var.disk_gib
  }

  dynamic "source_image_reference" {
    for_each = length(local.urn) == 4 ? [local.urn] : []
    content {
      publisher = source_image_reference.value[0]
      offer     = source_image_reference.value[1]
      sku       = source_image_reference.value[2]
      version   = source_image_reference.value[3]
    }
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.hub.id]
  }

  # The serial log, kept by Azure: the only sight of a machine that never reached its mailbox.
  boot_diagnostics {}

  lifecycle {
    precondition {
      condition     = var.image != null || !local.graphics
      error_message = "${var.instance_type} needs NVIDIA's GRID driver: give the `image` that has it."
    }
    precondition {
      condition     = length(var.secrets) == 0 || var.key_vault != null
      error_message = "The workload has secrets: say in which key_vault they are."
    }
  }

  depends_on = [
    azurerm_network_security_rule.hub,
    azurerm_role_assignment.lifetime,
    azurerm_role_assignment.mailbox,
    azurerm_role_assignment.secret,
    azurerm_subnet_network_security_group_association.hub,
  ]
}

# Azure's own end of the machine, should the one on the machine fail.
resource "azurerm_dev_test_global_vm_shutdown_schedule" "node" {
  count = var.nodes

  virtual_machine_id    = azurerm_linux_virtual_machine.node[count.index].id
  location              = var.region
  enabled               = local.within_24
  daily_recurrence_time = formatdate("hhmm", local.deadline)
  timezone              = "UTC"
  tags                  = local.tags

  notification_settings {
    enabled = false
  }
}

output "hub" {
  description = "Name of the hub."
  value       = var.hub
}

output "mailbox" {
  description = "Blob Storage URL under which the hub's mailbox lies: <mailbox>/<run>/<hub>/."
  value       = var.mailbox
}

output "instances" {
  description = "Resource ids of the hub's machines."
  value       = azurerm_linux_virtual_machine.node[*].id
}

output "addresses" {
  description = "One public IPv4 address for each machine; it answers only on the ports of `ingress`."
  value       = azurerm_public_ip.node[*].ip_address
}

output "user_data" {
  description = "One cloud-config text for each machine."
  value       = module.boot.user_data
}

output "resource_group" {
  description = "Resource group of the hub: deleting it deletes the hub."
  value       = azurerm_resource_group.hub.name
}

output "hub" {
  description = "Name of the hub."
  value       = var.hub
}

output "mailbox" {
  description = "Cloud Storage URL under which the hub's mailbox lies: <mailbox>/<run>/<hub>/."
  value       = var.mailbox
}

output "instances" {
  description = "Machines of the hub: projects/<project>/zones/<zone>/instances/<name>."
  value       = google_compute_instance.node[*].id
}

output "addresses" {
  description = "One IPv4 address for each machine: public where `ingress` exposes a port, else private."
  value = [
    for node in google_compute_instance.node :
    local.public ? node.network_interface[0].access_config[0].nat_ip : node.network_interface[0].network_ip
  ]
}

output "user_data" {
  description = "One cloud-config text for each machine."
  value       = module.boot.user_data
}

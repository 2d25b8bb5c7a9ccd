output "hub" {
  description = "Name of the hub."
  value       = var.hub
}

output "mailbox" {
  description = "Object-store URL under which the hub's mailbox lies: <mailbox>/<run>/<hub>/."
  value       = var.mailbox
}

output "instances" {
  description = "EC2 instance id of each node."
  value       = aws_instance.node[*].id
}

output "addresses" {
  description = "One public IPv4 address for each node; it answers only on the ports of `ingress`."
  value       = aws_instance.node[*].public_ip
}

output "user_data" {
  description = "cloud-config text of each node."
  value       = module.boot.user_data
}

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
  description = "IPv4 addresses of each node: public, by which it goes out, and private, by which the nodes reach each other."
  value       = [for node in aws_instance.node : { public = node.public_ip, private = node.private_ip }]
}

output "user_data" {
  description = "cloud-config text of each node."
  value       = module.boot.user_data
}

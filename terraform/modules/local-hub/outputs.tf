output "hub" {
  description = "Name of the hub, known once its first heartbeat was seen."
  value       = terraform_data.agent.output.hub
  depends_on  = [terraform_data.ready]
}

output "directory" {
  description = "The hub's own directory on this machine."
  value       = terraform_data.agent.output.directory
}

output "mailbox" {
  description = "Object-store URL under which the hub's mailbox lies: <mailbox>/<run>/<hub>/."
  value       = terraform_data.agent.output.mailbox
}

output "hub" {
  description = "Name of the hub, known once the first heartbeat of each of its nodes was seen."
  value       = terraform_data.agent[0].output.hub
  depends_on  = [terraform_data.ready]
}

output "directory" {
  description = "The directory of the hub's node 0 on this machine; node i has <directory>-n<i>."
  value       = terraform_data.agent[0].output.directory
}

output "mailbox" {
  description = "Object-store URL under which the hub's mailbox lies: <mailbox>/<run>/<hub>/."
  value       = terraform_data.agent[0].output.mailbox
}

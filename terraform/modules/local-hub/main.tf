# The interpreter of each provisioner is the whole command but for its last argument, which is `command`:
# no shell reads any of it, so paths may hold spaces and quotes.

resource "terraform_data" "agent" {
  # All that the destroy-time provisioner needs: it can read nothing but self.output.
  input = {
    run          = var.run
    hub          = var.hub
    mailbox      = var.mailbox
    directory    = var.directory
    python       = var.python
    agent        = var.agent
    stop_grace_s = var.stop_grace_s
  }

  # The TTL is armed when the agent starts, so another expiry is another hub.
  triggers_replace = [var.run, var.hub, var.expires, var.mailbox, var.directory]

  provisioner "local-exec" {
    interpreter = [
      var.python, var.agent, "start",
      "--mailbox", var.mailbox,
      "--run", var.run,
      "--hub", var.hub,
      "--dir", var.directory,
      "--expires",
    ]
    command = var.expires

    # Marked from its first instruction, a start that outlives a killed Terraform can still be found.
    environment = {
      HARCHOS_RUN     = var.run
      HARCHOS_HUB     = var.hub
      HARCHOS_EXPIRES = var.expires
    }
  }

  provisioner "local-exec" {
    when        = destroy
    interpreter = [self.output.python, self.output.agent, "stop", "--dir", self.output.directory, "--grace"]
    command     = tostring(self.output.stop_grace_s)
  }
}

# A resource of its own: a hub that never becomes ready taints this one, and the agent stays clean,
# so that its destroy-time provisioner still runs (Terraform skips it for a tainted resource).
resource "terraform_data" "ready" {
  triggers_replace = [terraform_data.agent.id]

  provisioner "local-exec" {
    interpreter = [
      terraform_data.agent.output.python, terraform_data.agent.output.agent, "ready",
      "--dir", terraform_data.agent.output.directory,
      "--timeout",
    ]
    command = tostring(var.ready_timeout_s)
  }
}

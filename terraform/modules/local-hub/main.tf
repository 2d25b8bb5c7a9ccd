# The interpreter of each provisioner is the whole command but for its last argument, which is `command`:
# no shell reads any of it, so paths may hold spaces and quotes.

locals {
  # Node 0 is the hub itself; its followers have names, mailboxes and directories of their own.
  nodes = [
    for i in range(var.nodes) : {
      name      = i == 0 ? var.hub : "${var.hub}-n${i}"
      directory = i == 0 ? var.directory : "${var.directory}-n${i}"
    }
  ]
}

resource "terraform_data" "agent" {
  count = var.nodes

  # All that the destroy-time provisioner needs: it can read nothing but self.output.
  input = {
    run          = var.run
    hub          = local.nodes[count.index].name
    mailbox      = var.mailbox
    directory    = local.nodes[count.index].directory
    python       = var.python
    agent        = var.agent
    stop_grace_s = var.stop_grace_s
  }

  # The TTL is armed when the agent starts, so another expiry is another hub.
  triggers_replace = [var.run, var.hub, var.expires, var.mailbox, var.directory, var.nodes]

  provisioner "local-exec" {
    interpreter = [
      var.python, var.agent, "start",
      "--mailbox", var.mailbox,
      "--run", var.run,
      "--hub", local.nodes[count.index].name,
      "--dir", local.nodes[count.index].directory,
      "--expires",
    ]
    command = var.expires

    # Marked from its first instruction, a start that outlives a killed Terraform can still be found.
    environment = {
      HARCHOS_RUN     = var.run
      HARCHOS_HUB     = local.nodes[count.index].name
      HARCHOS_EXPIRES = var.expires
      HARCHOS_NODE    = tostring(count.index)
      HARCHOS_NODES   = tostring(var.nodes)
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
  count = var.nodes

  triggers_replace = [terraform_data.agent[count.index].id]

  provisioner "local-exec" {
    interpreter = [
      terraform_data.agent[count.index].output.python, terraform_data.agent[count.index].output.agent, "ready",
      "--dir", terraform_data.agent[count.index].output.directory,
      "--timeout",
    ]
    command = tostring(var.ready_timeout_s)
  }
}

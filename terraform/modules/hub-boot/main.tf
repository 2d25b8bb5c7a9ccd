locals {
  user_data = [
    for node in range(var.nodes) : templatefile("${path.module}/cloud-config.yaml.tftpl", {
      workload = var.workload
      expires  = var.expires
      program  = base64gzip(file("${path.module}/instance.py"))
      boot = jsonencode({
        cloud       = var.cloud
        run         = var.run
        hub         = node == 0 ? var.hub : "${var.hub}-n${node}"
        expires     = var.expires
        mailbox     = var.mailbox
        environment = merge(var.environment, { HARCHOS_NODE = tostring(node), HARCHOS_NODES = tostring(var.nodes) })
      })
    })
  ]
}

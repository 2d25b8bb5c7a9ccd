locals {
  # Names end in at most 14 more characters and must stay within 63.
  long_name = "harchos-${replace(var.hub, ".", "-")}"
  name      = length(local.long_name) <= 48 ? local.long_name : "${substr(local.long_name, 0, 39)}-${substr(sha256(var.hub), 0, 8)}"

  marks = {
    for key, value in { run = var.run, hub = var.hub, expires = var.expires, workload = var.workload } :
    key => replace(lower(value), "/[^a-z0-9_-]/", "-")
  }
  labels = {
    for key, value in local.marks :
    "harchos-${key}" => length(value) <= 63 ? value : "${substr(value, 0, 54)}-${substr(sha256(value), 0, 8)}"
  }
  # What cannot carry labels is found by these words.
  description = join(" ", [for key, value in local.labels : "${key}=${value}"])

  bucket     = regex("^gs://([^/]+)", var.mailbox)[0]
  root       = trim(trimprefix(var.mailbox, "gs://${local.bucket}"), "/")
  run_prefix = local.root == "" ? "${var.run}/" : "${local.root}/${var.run}/"

  spot    = var.market == "spot"
  public  = length(var.ingress) > 0
  gpu     = var.accelerator != null || can(regex("^(a2|a3|a4|g2|g4)-", var.instance_type))
  arm     = can(regex("^(c4a|n4a|t2a)-", var.instance_type))
  compact = var.nodes > 1 && can(regex("^(a2|a3|a4|c2|c2d|c3|c3d|c4|c4d|g2|h3|h4d|n2|n2d)-", var.instance_type))

  hyperdisk = can(regex("^(a3-ultragpu|a4|g4|c4|c4a|c4d|h4d|n4|n4a|n4d)-", var.instance_type))

  image = var.image != null ? var.image : data.google_compute_image.looked_up[0].self_link

  zones          = var.availability_zone != null ? [] : sort(data.google_compute_zones.up[0].names)
  zones_offering = [for zone in local.zones : zone if length(data.google_compute_machine_types.offered[zone].machine_types) > 0]
  zone           = var.availability_zone != null ? var.availability_zone : concat(local.zones_offering, local.zones)[0]
}

module "boot" {
  source = "../hub-boot"

  cloud       = "gcp"
  run         = var.run
  hub         = var.hub
  workload    = var.workload
  expires     = var.expires
  mailbox     = var.mailbox
  nodes       = var.nodes
  environment = var.environment
}

data "google_compute_zones" "up" {
  count = var.availability_zone == null ? 1 : 0

  project = var.project
  region  = var.region
  status  = "UP"
}

data "google_compute_machine_types" "offered" {
  for_each = toset(local.zones)

  project = var.project
  zone    = each.key
  filter  = "name = \"${var.instance_type}\""
}

data "google_compute_image" "looked_up" {
  count = var.image == null ? 1 : 0

  project = local.gpu ? "deeplearning-platform-release" : "ubuntu-os-cloud"
  family  = local.gpu ? "common-cu129-ubuntu-2404-nvidia-580" : local.arm ? "ubuntu-2404-lts-arm64" : "ubuntu-2404-lts-amd64"
}

# Network: nothing comes in but `ingress` and the hub's own machines (Google denies what no rule allows), and
# nothing goes out but to the web. Google's metadata and names are reached past every rule.

resource "google_compute_network" "hub" {
  project                 = var.project
  name                    = local.name
  description             = local.description
  auto_create_subnetworks = false
}

resource "google_compute_subnetwork" "hub" {
  project                  = var.project
  region                   = var.region
  name                     = local.name
  description              = local.description
  network                  = google_compute_network.hub.id
  ip_cidr_range            = "10.0.0.0/20"
  private_ip_google_access = true
}

resource "google_compute_firewall" "ingress" {
  for_each = { for rule in var.ingress : tostring(rule.port) => rule.cidrs }

  project                 = var.project
  name                    = "${local.name}-port-${each.key}"
  description             = local.description
  network                 = google_compute_network.hub.id
  direction               = "INGRESS"
  source_ranges           = each.value
  target_service_accounts = [google_service_account.hub.email]

  allow {
    protocol = "tcp"
    ports    = [each.key]
  }
}

resource "google_compute_firewall" "from_nodes" {
  count = var.nodes > 1 ? 1 : 0

  project                 = var.project
  name                    = "${local.name}-from-nodes"
  description             = local.description
  network                 = google_compute_network.hub.id
  direction               = "INGRESS"
  source_service_accounts = [google_service_account.hub.email]
  target_service_accounts = [google_service_account.hub.email]

  allow {
    protocol = "all"
  }
}

resource "google_compute_firewall" "to_nodes" {
  count = var.nodes > 1 ? 1 : 0

  project            = var.project
  name               = "${local.name}-to-nodes"
  description        = local.description
  network            = google_compute_network.hub.id
  direction          = "EGRESS"
  destination_ranges = [google_compute_subnetwork.hub.ip_cidr_range]

  allow {
    protocol = "all"
  }
}

resource "google_compute_firewall" "to_web" {
  project            = var.project
  name               = "${local.name}-to-web"
  description        = local.description
  network            = google_compute_network.hub.id
  direction          = "EGRESS"
  destination_ranges = ["0.0.0.0/0"]

  allow {
    protocol = "tcp"
    ports    = ["80", "443"]
  }
}

resource "google_compute_firewall" "to_nothing_else" {
  project            = var.project
  name               = "${local.name}-closed"
  description        = local.description
  network            = google_compute_network.hub.id
  direction          = "EGRESS"
  priority           = 65534
  destination_ranges = ["0.0.0.0/0"]

  deny {
    protocol = "all"
  }
}

# The way out of machines without a public address. Google's own services (mailbox, images of Artifact Registry)
# are reached without it, through private Google access.

resource "google_compute_router" "hub" {
  count = local.public ? 0 : 1

  project     = var.project
  region      = var.region
  name        = local.name
  description = local.description
  network     = google_compute_network.hub.id
}

resource "google_compute_router_nat" "hub" {
  count = local.public ? 0 : 1

  project                             = var.project
  region                              = var.region
  router                              = google_compute_router.hub[0].name
  name                                = local.name
  nat_ip_allocate_option              = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat  = "LIST_OF_SUBNETWORKS"
  enable_endpoint_independent_mapping = false
  enable_dynamic_port_allocation      = true
  min_ports_per_vm                    = 64
  max_ports_per_vm                    = 4096

  subnetwork {
    name                    = google_compute_subnetwork.hub.id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }
}

# Identity: the run's prefix of the mailbox, the run's secrets, nothing else.

resource "google_service_account" "hub" {
  project      = var.project
  account_id   = "harchos-${substr(sha256(var.hub), 0, 20)}"
  display_name = substr("HarchOS hub ${var.hub}", 0, 100)
  description  = substr(local.description, 0, 256)
}

resource "google_storage_bucket_iam_member" "mailbox" {
  bucket = local.bucket
  role   = "roles/storage.objectUser"
  member = "serviceAccount:${google_service_account.hub.email}"

  condition {
    title       = "harchos-run"
    description = local.description
    expression = join(" || ", [
      "resource.name.startsWith(\"projects/_/buckets/${local.bucket}/objects/${local.run_prefix}\")",
      "api.getAttribute(\"storage.googleapis.com/objectListPrefix\", \"\").startsWith(\"${local.run_prefix}\")",
    ])
  }
}

resource "google_secret_manager_secret_iam_member" "run" {
  for_each = toset([for name in var.secrets : "harchos-${replace("${var.run}-${name}", "/[._]/", "-")}"])

  project   = var.project
  secret_id = each.key
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${google_service_account.hub.email}"
}

# Machines.

resource "google_compute_resource_policy" "compact" {
  count = local.compact ? 1 : 0

  project     = var.project
  region      = var.region
  name        = local.name
  description = local.description

  group_placement_policy {
    collocation = "COLLOCATED"
  }
}

# What a machine learns once, at its creation: a change of it is another machine.
resource "terraform_data" "birth" {
  input = {
    expires           = var.expires
    user_data         = sha256(join("\n", module.boot.user_data))
    image             = var.image
    availability_zone = var.availability_zone
  }
}

resource "google_compute_instance" "node" {
  count = var.nodes

  project             = var.project
  zone                = local.zone
  name                = "${local.name}-n${count.index}"
  description         = local.description
  machine_type        = var.instance_type
  labels              = local.labels
  resource_policies   = google_compute_resource_policy.compact[*].self_link
  can_ip_forward      = false
  deletion_protection = false

  boot_disk {
    auto_delete = true

    initialize_params {
      image  = local.image
      size   = var.disk_gib
      type   = local.hyperdisk ? "hyperdisk-balanced" : "pd-balanced"
      labels = local.labels
    }
  }

  network_interface {
    subnetwork = google_compute_subnetwork.hub.id
    nic_type   = "GVNIC"

    dynamic "access_config" {
      for_each = local.public ? [true] : []
      content {}
    }
  }

  dynamic "guest_accelerator" {
    for_each = var.accelerator[*]
    content {
      type  = guest_accelerator.value.type
      count = guest_accelerator.value.count
    }
  }

  # An absolute time, unlike max_run_duration, which counts anew whenever the machine starts.
  scheduling {
    provisioning_model          = local.spot ? "SPOT" : "STANDARD"
    preemptible                 = local.spot
    automatic_restart           = false
    on_host_maintenance         = local.gpu || local.spot || local.compact ? "TERMINATE" : "MIGRATE"
    instance_termination_action = "DELETE"
    termination_time            = var.expires
  }

  # The drivers of GPU images are not signed for Secure Boot; measured boot stays on.
  shielded_instance_config {
    enable_secure_boot          = !local.gpu
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  service_account {
    email = google_service_account.hub.email
    # Secret Manager answers to no narrower scope; what the account may do is bounded by its roles all the same.
    scopes = [length(var.secrets) > 0 ? "https://www.googleapis.com/auth/cloud-platform" : "https://www.googleapis.com/auth/devstorage.read_write"]
  }

  metadata = {
    user-data              = module.boot.user_data[count.index]
    block-project-ssh-keys = "true"
    serial-port-enable     = "false"
  }

  lifecycle {
    # Google writes the time back in another form, and newer images and other zones appear: none is a reason
    # to replace a hub that runs.
    ignore_changes       = [scheduling[0].termination_time, boot_disk[0].initialize_params[0].image, zone]
    replace_triggered_by = [terraform_data.birth]

    precondition {
      condition     = var.availability_zone == null || startswith(coalesce(var.availability_zone, "-"), "${var.region}-")
      error_message = "The zone ${coalesce(var.availability_zone, "-")} is not in ${var.region}."
    }
    precondition {
      condition     = var.accelerator == null || startswith(var.instance_type, "n1-")
      error_message = "GPUs can be attached to n1 machine types only; ${var.instance_type} is none."
    }
  }

  depends_on = [
    google_compute_firewall.from_nodes,
    google_compute_firewall.ingress,
    google_compute_firewall.to_nodes,
    google_compute_firewall.to_nothing_else,
    google_compute_firewall.to_web,
    google_compute_router_nat.hub,
    google_secret_manager_secret_iam_member.run,
    google_storage_bucket_iam_member.mailbox,
  ]
}

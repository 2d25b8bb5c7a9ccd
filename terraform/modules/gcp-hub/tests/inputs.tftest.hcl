mock_provider "google" {
  mock_data "google_compute_zones" {
    defaults = { names = ["europe-west4-c", "europe-west4-a", "europe-west4-b"] }
  }
  mock_data "google_compute_image" {
    defaults = { self_link = "https://www.googleapis.com/compute/v1/projects/looked-up/global/images/one" }
  }
  mock_resource "google_service_account" {
    defaults = { email = "hub@my-project-1.iam.gserviceaccount.com" }
  }
}

variables {
  run           = "digits-0a1b2c"
  hub           = "digits-0a1b2c-h1"
  workload      = "digits"
  expires       = "2026-11-24T06:00:00Z"
  mailbox       = "gs://mailbox"
  project       = "my-project-1"
  region        = "europe-west4"
  instance_type = "g2-standard-4"
  market        = "on-demand"
}

run "a_hub_is_closed_encrypted_by_google_and_ends_by_itself" {
  command = plan

  assert {
    condition     = length(google_compute_firewall.ingress) == 0 && length(google_compute_firewall.from_nodes) == 0
    error_message = "A hub that exposes nothing must have no rule that lets anything in."
  }
  assert {
    condition     = length(google_compute_instance.node[0].network_interface[0].access_config) == 0 && length(google_compute_router_nat.hub) == 1
    error_message = "A hub that exposes nothing must have no public address, and go out through NAT."
  }
  assert {
    condition     = google_compute_instance.node[0].scheduling[0].termination_time == "2026-11-24T06:00:00Z"
    error_message = "Google must delete the machine at the expiry."
  }
  assert {
    condition     = google_compute_instance.node[0].scheduling[0].instance_termination_action == "DELETE"
    error_message = "Stopping is not enough: the disk would stay."
  }
  assert {
    condition     = google_compute_instance.node[0].boot_disk[0].auto_delete
    error_message = "The disk must go with its machine."
  }
  assert {
    condition     = google_compute_instance.node[0].shielded_instance_config[0].enable_vtpm && google_compute_instance.node[0].metadata["block-project-ssh-keys"] == "true"
    error_message = "The machine must be shielded and take no keys of the project."
  }
}

run "only_the_web_is_reached" {
  command = plan

  assert {
    condition     = one(google_compute_firewall.to_web.allow).ports == tolist(["80", "443"]) && one(google_compute_firewall.to_nothing_else.deny).protocol == "all"
    error_message = "Out to the web, and to nothing else."
  }
}

run "machine_and_disk_carry_the_labels" {
  command = plan

  assert {
    condition = google_compute_instance.node[0].labels == tomap({
      harchos-run      = "digits-0a1b2c"
      harchos-hub      = "digits-0a1b2c-h1"
      harchos-expires  = "2026-11-24t06-00-00z"
      harchos-workload = "digits"
    })
    error_message = "The machine is found by these labels."
  }
  assert {
    condition     = google_compute_instance.node[0].boot_disk[0].initialize_params[0].labels == google_compute_instance.node[0].labels
    error_message = "The disk is found by the same labels."
  }
  assert {
    condition     = google_compute_network.hub.description == "harchos-expires=2026-11-24t06-00-00z harchos-hub=digits-0a1b2c-h1 harchos-run=digits-0a1b2c harchos-workload=digits"
    error_message = "What takes no labels is found by its description."
  }
}

run "the_identity_reaches_the_prefix_of_the_run_and_no_secret" {
  command = plan
  variables {
    mailbox = "gs://mailbox/team/a"
  }

  assert {
    condition     = strcontains(google_storage_bucket_iam_member.mailbox.condition[0].expression, "resource.name.startsWith(\"projects/_/buckets/mailbox/objects/team/a/digits-0a1b2c/\")")
    error_message = "Objects outside the run's prefix must be out of reach."
  }
  assert {
    condition     = strcontains(google_storage_bucket_iam_member.mailbox.condition[0].expression, "objectListPrefix\", \"\").startsWith(\"team/a/digits-0a1b2c/\")")
    error_message = "Listing must be limited to the run's prefix."
  }
  assert {
    condition     = google_storage_bucket_iam_member.mailbox.role == "roles/storage.objectUser" && length(google_secret_manager_secret_iam_member.run) == 0
    error_message = "The identity has one role on the mailbox and none on secrets."
  }
  assert {
    condition     = google_compute_instance.node[0].service_account[0].scopes == toset(["https://www.googleapis.com/auth/devstorage.read_write"])
    error_message = "The machine's tokens are good for Cloud Storage only."
  }
}

run "named_secrets_of_the_run_can_be_read" {
  command = plan
  variables {
    secrets = ["HF_TOKEN", "wandb.key"]
  }

  assert {
    condition     = toset(keys(google_secret_manager_secret_iam_member.run)) == toset(["harchos-digits-0a1b2c-HF-TOKEN", "harchos-digits-0a1b2c-wandb-key"])
    error_message = "The secrets of the run, by the names under which they are stored."
  }
}

run "an_exposed_port_opens_to_its_ranges_only" {
  command = plan
  variables {
    ingress = [{ port = 8000, cidrs = ["203.0.113.0/24"] }]
  }

  assert {
    condition     = google_compute_firewall.ingress["8000"].source_ranges == toset(["203.0.113.0/24"]) && one(google_compute_firewall.ingress["8000"].allow).ports == tolist(["8000"])
    error_message = "One port, from the ranges that were named."
  }
  assert {
    condition     = length(google_compute_instance.node[0].network_interface[0].access_config) == 1 && length(google_compute_router_nat.hub) == 0
    error_message = "A hub that exposes a port has a public address, and needs no NAT."
  }
}

run "several_nodes_stand_close_and_talk_to_each_other" {
  command = plan
  variables {
    instance_type = "a2-highgpu-8g"
    nodes         = 3
  }

  assert {
    condition     = length(google_compute_instance.node) == 3 && length(distinct(google_compute_instance.node[*].name)) == 3
    error_message = "Three machines, each with its own name."
  }
  assert {
    condition     = google_compute_resource_policy.compact[0].group_placement_policy[0].collocation == "COLLOCATED"
    error_message = "They must stand close."
  }
  assert {
    condition     = length(google_compute_firewall.from_nodes) == 1 && length(google_compute_firewall.to_nodes) == 1
    error_message = "They must be able to talk."
  }
}

run "spot_is_preemptible_and_never_restarted" {
  command = plan
  variables {
    market = "spot"
  }

  assert {
    condition     = google_compute_instance.node[0].scheduling[0].provisioning_model == "SPOT" && google_compute_instance.node[0].scheduling[0].preemptible
    error_message = "A spot machine must be asked for as one."
  }
  assert {
    condition     = !google_compute_instance.node[0].scheduling[0].automatic_restart && google_compute_instance.node[0].scheduling[0].on_host_maintenance == "TERMINATE"
    error_message = "Google refuses a spot machine that restarts or migrates."
  }
}

run "gpu_types_get_the_image_with_the_driver" {
  command = plan

  assert {
    condition     = data.google_compute_image.looked_up[0].project == "deeplearning-platform-release" && data.google_compute_image.looked_up[0].family == "common-cu129-ubuntu-2404-nvidia-580"
    error_message = "A GPU needs its driver."
  }
  assert {
    condition     = !google_compute_instance.node[0].shielded_instance_config[0].enable_secure_boot
    error_message = "Secure Boot would refuse the driver."
  }
}

run "types_without_gpu_get_plain_ubuntu_and_secure_boot" {
  command = plan
  variables {
    instance_type = "n2-standard-4"
  }

  assert {
    condition     = data.google_compute_image.looked_up[0].family == "ubuntu-2404-lts-amd64" && google_compute_instance.node[0].shielded_instance_config[0].enable_secure_boot
    error_message = "Plain Ubuntu boots with Secure Boot."
  }
  assert {
    condition     = google_compute_instance.node[0].scheduling[0].on_host_maintenance == "MIGRATE"
    error_message = "A machine that can be moved while it runs should be."
  }
}

run "gpus_are_attached_to_n1" {
  command = plan
  variables {
    instance_type = "n1-standard-8"
    accelerator   = { type = "nvidia-tesla-t4", count = 2 }
  }

  assert {
    condition     = google_compute_instance.node[0].guest_accelerator[0].type == "nvidia-tesla-t4" && google_compute_instance.node[0].guest_accelerator[0].count == 2
    error_message = "Two T4 were asked for."
  }
  assert {
    condition     = google_compute_instance.node[0].scheduling[0].on_host_maintenance == "TERMINATE"
    error_message = "A machine with GPUs cannot be moved while it runs."
  }
}

run "newer_machine_types_get_hyperdisk" {
  command = plan
  variables {
    instance_type = "g4-standard-48"
  }

  assert {
    condition     = google_compute_instance.node[0].boot_disk[0].initialize_params[0].type == "hyperdisk-balanced"
    error_message = "g4 takes no persistent disk."
  }
}

run "the_zone_defaults_to_one_that_has_the_type" {
  command = plan

  override_data {
    target = data.google_compute_machine_types.offered["europe-west4-b"]
    values = { machine_types = [{ name = "g2-standard-4" }] }
  }

  assert {
    condition     = google_compute_instance.node[0].zone == "europe-west4-b"
    error_message = "Only europe-west4-b offers the type."
  }
}

run "a_long_hub_keeps_a_name_of_its_own" {
  command = plan
  variables {
    hub = "a-workload-with-a-name-that-is-quite-a-bit-too-long-for-google-0a1b2c-h1"
  }

  assert {
    condition     = length(google_compute_instance.node[0].name) <= 63 && endswith(google_compute_network.hub.name, substr(sha256(var.hub), 0, 8))
    error_message = "A name that was cut ends in a hash of the whole."
  }
  assert {
    condition     = length(google_compute_instance.node[0].labels["harchos-hub"]) <= 63
    error_message = "A label holds 63 characters."
  }
}

run "a_time_without_zone_is_refused" {
  command = plan
  variables {
    expires = "2026-11-24T06:00:00+01:00"
  }
  expect_failures = [var.expires]
}

run "a_mailbox_of_another_cloud_is_refused" {
  command = plan
  variables {
    mailbox = "s3://mailbox"
  }
  expect_failures = [var.mailbox]
}

run "a_mailbox_that_would_break_out_of_the_condition_is_refused" {
  command = plan
  variables {
    mailbox = "gs://mailbox/a\") || true || (\""
  }
  expect_failures = [var.mailbox]
}

run "a_project_number_is_refused" {
  command = plan
  variables {
    project = "123456789012"
  }
  expect_failures = [var.project]
}

run "a_zone_of_another_region_is_refused" {
  command = plan
  variables {
    availability_zone = "us-central1-a"
  }
  expect_failures = [google_compute_instance.node]
}

run "gpus_are_not_attached_to_other_families" {
  command = plan
  variables {
    accelerator = { type = "nvidia-tesla-t4", count = 1 }
  }
  expect_failures = [google_compute_instance.node]
}

run "counts_prices_and_ports_that_cannot_be_are_refused" {
  command = plan
  variables {
    nodes              = 1.5
    disk_gib           = 1
    max_price_usd_hour = 0
    market             = "preemptible"
    ingress            = [{ port = 70000, cidrs = [] }]
  }
  expect_failures = [var.nodes, var.disk_gib, var.max_price_usd_hour, var.market, var.ingress]
}

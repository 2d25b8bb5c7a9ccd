mock_provider "aws" {
  override_during = plan

  mock_data "aws_ec2_instance_type" {
    defaults = {
      supported_architectures        = ["x86_64"]
      supported_placement_strategies = ["partition", "spread"]
      ebs_optimized_support          = "default"
      gpus                           = []
    }
  }
  mock_data "aws_ec2_instance_type_offerings" {
    defaults = { locations = ["eu-north-1a"] }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { insecure_value = "ami-0123456789abcdef0" }
  }
}

variables {
  run           = "digits-0a1b2c"
  hub           = "digits-0a1b2c-h1"
  workload      = "digits"
  expires       = "2026-11-24T06:00:00Z"
  mailbox       = "s3://acme-mailbox/harchos"
  region        = "eu-north-1"
  instance_type = "c7i.large"
  market        = "on-demand"
}

run "the_shortest_input_is_enough" {
  command = plan

  assert {
    condition     = length(aws_instance.node) == 1 && aws_instance.node[0].root_block_device[0].volume_size == 100
    error_message = "A hub is one node with a disk of 100 GiB unless more is asked for."
  }
}

run "a_name_with_a_slash_is_refused" {
  command = plan
  variables {
    run      = "digits/0a1b2c"
    hub      = "../h1"
    workload = "Digits"
  }
  expect_failures = [var.run, var.hub, var.workload]
}

run "a_time_that_is_not_rfc_3339_is_refused" {
  command = plan
  variables {
    expires = "tomorrow"
  }
  expect_failures = [var.expires]
}

run "a_mailbox_of_another_cloud_is_refused" {
  command = plan
  variables {
    mailbox = "gs://acme-mailbox"
  }
  expect_failures = [var.mailbox]
}

run "a_mailbox_that_would_widen_the_role_is_refused" {
  command = plan
  variables {
    mailbox = "s3://acme-mailbox/*"
  }
  expect_failures = [var.mailbox]
}

run "a_bucket_that_s3_would_not_take_is_refused" {
  command = plan
  variables {
    mailbox = "s3://Acme_Mailbox"
  }
  expect_failures = [var.mailbox]
}

run "places_that_are_none_are_refused" {
  command = plan
  variables {
    region            = "Stockholm"
    availability_zone = "a"
  }
  expect_failures = [var.region, var.availability_zone]
}

run "a_zone_of_another_region_is_refused" {
  command = plan
  variables {
    availability_zone = "eu-west-3a"
  }
  expect_failures = [aws_instance.node]
}

run "an_instance_type_without_a_size_is_refused" {
  command = plan
  variables {
    instance_type = "g6"
  }
  expect_failures = [var.instance_type]
}

run "an_instance_type_that_the_region_does_not_offer_is_refused" {
  command = plan
  override_data {
    target = data.aws_ec2_instance_type_offerings.zones
    values = { locations = [] }
  }
  expect_failures = [data.aws_ec2_instance_type_offerings.zones]
}

run "a_market_that_ec2_does_not_have_is_refused" {
  command = plan
  variables {
    market = "preemptible"
  }
  expect_failures = [var.market]
}

run "no_node_at_all_is_refused" {
  command = plan
  variables {
    nodes = 0
  }
  expect_failures = [var.nodes]
}

run "half_a_node_is_refused" {
  command = plan
  variables {
    nodes = 1.5
  }
  expect_failures = [var.nodes]
}

run "more_nodes_than_the_subnet_has_addresses_are_refused" {
  command = plan
  variables {
    nodes = 201
  }
  expect_failures = [var.nodes]
}

run "a_price_of_nothing_is_refused" {
  command = plan
  variables {
    market             = "spot"
    max_price_usd_hour = 0
  }
  expect_failures = [var.max_price_usd_hour]
}

run "an_image_by_name_is_refused" {
  command = plan
  variables {
    image = "ubuntu-24.04"
  }
  expect_failures = [var.image]
}

run "a_disk_too_small_for_ubuntu_is_refused" {
  command = plan
  variables {
    disk_gib = 4
  }
  expect_failures = [var.disk_gib]
}

run "ports_that_are_none_are_refused" {
  command = plan
  variables {
    ingress = [{ port = 0, cidrs = ["203.0.113.0/24"] }]
  }
  expect_failures = [var.ingress]
}

run "an_open_port_without_a_range_is_refused" {
  command = plan
  variables {
    ingress = [{ port = 8000, cidrs = [] }]
  }
  expect_failures = [var.ingress]
}

run "ranges_that_are_not_ipv4_are_refused" {
  command = plan
  variables {
    ingress = [{ port = 8000, cidrs = ["203.0.113.7", "2001:db8::/32"] }]
  }
  expect_failures = [var.ingress]
}

run "an_environment_that_a_shell_would_not_take_is_refused" {
  command = plan
  variables {
    environment = { "AWS REGION" = "eu-west-1" }
  }
  expect_failures = [var.environment]
}

run "a_secret_that_would_widen_the_role_is_refused" {
  command = plan
  variables {
    secrets = ["*"]
  }
  expect_failures = [var.secrets]
}

run "a_boundary_that_is_no_policy_is_refused" {
  command = plan
  variables {
    permissions_boundary = "harchos-hub-boundary"
  }
  expect_failures = [var.permissions_boundary]
}

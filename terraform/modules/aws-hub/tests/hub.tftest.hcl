mock_provider "aws" {
  override_during = plan

  mock_data "aws_ec2_instance_type" {
    defaults = {
      supported_architectures        = ["x86_64"]
      supported_placement_strategies = ["cluster", "partition", "spread"]
      ebs_optimized_support          = "default"
      gpus                           = [{ count = 1, manufacturer = "NVIDIA", memory_size = 24576, name = "L4" }]
    }
  }
  mock_data "aws_ec2_instance_type_offerings" {
    defaults = { locations = ["eu-north-1c", "eu-north-1b"] }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { insecure_value = "ami-0123456789abcdef0" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

variables {
  run           = "digits-0a1b2c"
  hub           = "digits-0a1b2c-h1"
  workload      = "digits"
  expires       = "2026-11-24T06:00:00Z"
  mailbox       = "s3://acme-mailbox/harchos"
  region        = "eu-north-1"
  instance_type = "g6.xlarge"
  market        = "on-demand"
}

run "a_node_ends_with_its_machine_and_takes_its_disk_with_it" {
  command = plan

  assert {
    condition     = aws_instance.node[0].instance_initiated_shutdown_behavior == "terminate"
    error_message = "A node that powers itself off must be terminated, not stopped."
  }
  assert {
    condition = alltrue([
      aws_instance.node[0].root_block_device[0].delete_on_termination,
      aws_instance.node[0].root_block_device[0].encrypted,
      aws_instance.node[0].root_block_device[0].volume_type == "gp3",
    ])
    error_message = "The disk must be an encrypted gp3 volume that goes with the node."
  }
  assert {
    condition     = strcontains(aws_instance.node[0].user_data, var.expires)
    error_message = "The TTL must be in the node's own user-data."
  }
}

run "the_role_is_for_the_agent_not_for_the_job" {
  command = plan

  assert {
    condition     = aws_instance.node[0].metadata_options[0].http_tokens == "required"
    error_message = "IMDSv1 must be off."
  }
  assert {
    condition     = aws_instance.node[0].metadata_options[0].http_put_response_hop_limit == 1
    error_message = "A container's own network must not reach the metadata service."
  }
}

run "the_role_reaches_only_the_run_in_the_mailbox" {
  command = plan

  assert {
    condition = jsondecode(aws_iam_role_policy.mailbox.policy).Statement == [
      {
        Sid      = "Objects"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        Resource = "arn:aws:s3:::acme-mailbox/harchos/digits-0a1b2c/*"
      },
      {
        Sid       = "List"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = "arn:aws:s3:::acme-mailbox"
        Condition = { StringLike = { "s3:prefix" = "harchos/digits-0a1b2c/*" } }
      },
    ]
    error_message = "The role must reach <bucket>/<prefix>/<run>/ and nothing else."
  }
  assert {
    condition     = length(aws_iam_role_policy.secrets) == 0
    error_message = "A run without secrets must have no right to read any."
  }
}

run "a_mailbox_at_the_root_of_its_bucket_is_held_to_the_run_too" {
  command = plan
  variables {
    mailbox = "s3://acme-mailbox/"
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.mailbox.policy).Statement[0].Resource == "arn:aws:s3:::acme-mailbox/digits-0a1b2c/*"
    error_message = "Without a prefix the run's folder lies at the bucket's root."
  }
}

run "secrets_are_read_one_by_one_and_decrypted_only_through_ssm" {
  command = plan
  variables {
    secrets              = ["HF_TOKEN", "DB"]
    permissions_boundary = "arn:aws:iam::123456789012:policy/harchos-hub-boundary"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.secrets[0].policy).Statement == [
      {
        Sid    = "Read"
        Effect = "Allow"
        Action = "ssm:GetParameter"
        Resource = [
          "arn:aws:ssm:eu-north-1:123456789012:parameter/harchos/digits-0a1b2c/DB",
          "arn:aws:ssm:eu-north-1:123456789012:parameter/harchos/digits-0a1b2c/HF_TOKEN",
        ]
      },
      {
        Sid      = "Decrypt"
        Effect   = "Allow"
        Action   = "kms:Decrypt"
        Resource = "arn:aws:kms:eu-north-1:123456789012:key/*"
        Condition = {
          StringEquals = {
            "kms:ViaService" = "ssm.eu-north-1.amazonaws.com"
            "kms:EncryptionContext:PARAMETER_ARN" = [
              "arn:aws:ssm:eu-north-1:123456789012:parameter/harchos/digits-0a1b2c/DB",
              "arn:aws:ssm:eu-north-1:123456789012:parameter/harchos/digits-0a1b2c/HF_TOKEN",
            ]
          }
        }
      },
    ]
    error_message = "The role must read the run's named secrets and no other parameter."
  }
  assert {
    condition     = aws_iam_role.hub.permissions_boundary == var.permissions_boundary
    error_message = "The boundary must be the role's."
  }
}

run "nothing_comes_in_but_what_is_exposed" {
  command = plan

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.exposed) == 0
    error_message = "A hub that exposes nothing lets nothing in from outside."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.nodes.cidr_ipv4 == null
    error_message = "The rule between nodes must name the nodes' own group, no range."
  }
}

run "each_exposed_port_is_open_to_its_own_ranges" {
  command = plan
  variables {
    ingress = [
      { port = 8000, cidrs = ["203.0.113.0/24", "198.51.100.7/32", "203.0.113.0/24"] },
      { port = 9000, cidrs = ["203.0.113.0/24"] },
    ]
  }

  assert {
    condition = toset([for rule in aws_vpc_security_group_ingress_rule.exposed : "${rule.from_port}-${rule.to_port} ${rule.cidr_ipv4}"]) == toset([
      "8000-8000 203.0.113.0/24", "8000-8000 198.51.100.7/32", "9000-9000 203.0.113.0/24",
    ])
    error_message = "One rule for each port and range, each once."
  }
}

run "an_on_demand_node_is_no_spot_request" {
  command = plan
  variables {
    max_price_usd_hour = 0.9
  }

  assert {
    condition     = length(aws_instance.node[0].instance_market_options) == 0
    error_message = "On demand there is no spot request."
  }
  assert {
    condition     = [for spec in aws_launch_template.tags.tag_specifications : spec.resource_type] == ["network-interface"]
    error_message = "A tag for a spot request that is not made would let the launch fail."
  }
}

run "a_spot_node_is_asked_for_once_and_under_its_ceiling" {
  command = plan
  variables {
    market             = "spot"
    max_price_usd_hour = 0.45
  }

  assert {
    condition = alltrue([
      aws_instance.node[0].instance_market_options[0].spot_options[0].spot_instance_type == "one-time",
      aws_instance.node[0].instance_market_options[0].spot_options[0].instance_interruption_behavior == "terminate",
      aws_instance.node[0].instance_market_options[0].spot_options[0].max_price == "0.45",
    ])
    error_message = "A spot node that is taken back must not come again, nor cost more than was accepted."
  }
  assert {
    condition     = contains([for spec in aws_launch_template.tags.tag_specifications : spec.resource_type], "spot-instances-request")
    error_message = "The spot request must be tagged too."
  }
}

run "one_node_needs_no_placement_group" {
  command = plan

  assert {
    condition     = length(aws_placement_group.cluster) == 0
    error_message = "A single node has no neighbour."
  }
}

run "several_nodes_stand_side_by_side" {
  command = plan
  variables {
    nodes = 3
  }

  assert {
    condition     = aws_placement_group.cluster[0].strategy == "cluster"
    error_message = "The nodes of a hub belong together."
  }
  assert {
    condition     = length(distinct(aws_instance.node[*].user_data)) == 3
    error_message = "Each node boots as itself."
  }
  assert {
    condition     = length(distinct([for node in aws_instance.node : node.tags["Name"]])) == 3
    error_message = "Each node has its own name."
  }
}

run "an_instance_type_that_cannot_be_clustered_is_not" {
  command = plan
  variables {
    nodes = 2
  }
  override_data {
    target = data.aws_ec2_instance_type.node
    values = {
      supported_architectures        = ["x86_64"]
      supported_placement_strategies = ["partition", "spread"]
      ebs_optimized_support          = "default"
      gpus                           = []
    }
  }

  assert {
    condition     = length(aws_placement_group.cluster) == 0
    error_message = "EC2 refuses such a type in a cluster placement group."
  }
}

run "a_gpu_node_boots_an_image_with_its_driver" {
  command = plan

  assert {
    condition     = data.aws_ssm_parameter.image[0].name == "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
    error_message = "A GPU without its driver is of no use."
  }
  assert {
    condition     = aws_instance.node[0].ami == "ami-0123456789abcdef0"
    error_message = "The node must boot the image that was looked up."
  }
}

run "a_graviton_gpu_node_boots_an_arm_image_with_its_driver" {
  command = plan
  override_data {
    target = data.aws_ec2_instance_type.node
    values = {
      supported_architectures        = ["arm64"]
      supported_placement_strategies = ["cluster"]
      ebs_optimized_support          = "default"
      gpus                           = [{ count = 1, manufacturer = "Nvidia", memory_size = 16384, name = "T4g" }]
    }
  }

  assert {
    condition     = data.aws_ssm_parameter.image[0].name == "/aws/service/deeplearning/ami/arm64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
    error_message = "An arm64 machine needs an arm64 image."
  }
}

run "a_node_without_a_gpu_boots_plain_ubuntu" {
  command = plan
  override_data {
    target = data.aws_ec2_instance_type.node
    values = {
      supported_architectures        = ["arm64"]
      supported_placement_strategies = ["cluster"]
      ebs_optimized_support          = "default"
      gpus                           = []
    }
  }

  assert {
    condition     = data.aws_ssm_parameter.image[0].name == "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id"
    error_message = "No GPU, no driver."
  }
}

run "an_amd_gpu_has_no_use_for_nvidia_s_driver" {
  command = plan
  override_data {
    target = data.aws_ec2_instance_type.node
    values = {
      supported_architectures        = ["x86_64"]
      supported_placement_strategies = ["cluster"]
      ebs_optimized_support          = "unsupported"
      gpus                           = [{ count = 1, manufacturer = "AMD", memory_size = 8192, name = "Radeon Pro V520" }]
    }
  }

  assert {
    condition     = data.aws_ssm_parameter.image[0].name == "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
    error_message = "NVIDIA's driver is for NVIDIA's GPUs."
  }
  assert {
    condition     = aws_instance.node[0].ebs_optimized == false
    error_message = "EC2 refuses what the type does not support."
  }
}

run "an_image_that_is_given_is_not_looked_up" {
  command = plan
  variables {
    image = "ami-0fedcba9876543210"
  }

  assert {
    condition     = length(data.aws_ssm_parameter.image) == 0 && aws_instance.node[0].ami == "ami-0fedcba9876543210"
    error_message = "The given image is the one to boot."
  }
}

run "the_hub_lies_where_its_type_is_offered" {
  command = plan

  assert {
    condition     = aws_subnet.hub.availability_zone == "eu-north-1b"
    error_message = "A subnet in a zone that does not offer the type would let the launch fail."
  }
}

run "a_long_name_is_cut_and_stays_its_own" {
  command = plan
  variables {
    hub = "a-workload-with-a-name-that-goes-on-and-on-and-on-and-on-0a1b2c-h1"
  }

  assert {
    condition     = length(aws_iam_role.hub.name) == 64
    error_message = "IAM takes 64 characters."
  }
  assert {
    condition     = endswith(aws_iam_role.hub.name, substr(sha256(var.hub), 0, 8))
    error_message = "What is cut must still tell this hub from another."
  }
  assert {
    condition     = aws_iam_role.hub.tags["harchos:hub"] == var.hub
    error_message = "The tag carries the whole name."
  }
}

run "what_a_node_tells_of_itself" {
  command = apply
  variables {
    nodes = 2
  }

  assert {
    condition     = output.hub == var.hub && output.mailbox == var.mailbox
    error_message = "The hub's name and mailbox are what was asked for."
  }
  assert {
    condition     = length(output.instances) == 2 && length(output.addresses) == 2 && length(output.user_data) == 2
    error_message = "One entry for each node."
  }
}

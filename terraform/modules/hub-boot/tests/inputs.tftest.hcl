variables {
  cloud    = "aws"
  run      = "digits-0a1b2c"
  hub      = "digits-0a1b2c-h1"
  workload = "digits"
  expires  = "2026-11-24T06:00:00Z"
  mailbox  = "s3://my-mailbox/harchos"
}

run "one_cloud_config_a_machine" {
  command = plan
  variables {
    nodes = 2
  }

  assert {
    condition     = length(output.user_data) == 2 && alltrue([for text in output.user_data : startswith(text, "#cloud-config\n")])
    error_message = "Each machine must get a cloud-config."
  }
  assert {
    condition     = alltrue([for text in output.user_data : can(yamldecode(text))])
    error_message = "The cloud-config must be YAML."
  }
}

run "node_0_is_the_hub_and_others_have_names_of_their_own" {
  command = plan
  variables {
    nodes = 3
  }

  assert {
    condition = [
      for text in output.user_data : jsondecode([
        for file in yamldecode(text).write_files : file.content if file.path == "/opt/harchos/boot.json"
      ][0]).hub
    ] == ["digits-0a1b2c-h1", "digits-0a1b2c-h1-n1", "digits-0a1b2c-h1-n2"]
    error_message = "Machines of a hub must not write to one mailbox."
  }
}

run "the_end_is_armed_before_anything_is_written" {
  command = plan

  assert {
    condition     = strcontains(yamldecode(output.user_data[0]).bootcmd[0], "2026-11-24T06:00:00Z")
    error_message = "bootcmd must arm the TTL."
  }
}

run "a_quote_in_the_environment_stays_one_value" {
  command = plan
  variables {
    environment = { AWS_ENDPOINT_URL = "http://127.0.0.1/'\"$x: {}\n#" }
  }

  assert {
    condition = jsondecode([
      for file in yamldecode(output.user_data[0]).write_files : file.content if file.path == "/opt/harchos/boot.json"
    ][0]).environment.AWS_ENDPOINT_URL == "http://127.0.0.1/'\"$x: {}\n#"
    error_message = "The environment was changed on its way."
  }
}

# 8,000 characters but 9,000 bytes: with the rest over 16 KiB only if counted in bytes.
run "user_data_that_a_cloud_would_refuse_is_refused_here" {
  command = plan
  variables {
    environment = { LONG = join("", [for n in range(1000) : "ü2345678"]) }
  }
  expect_failures = [output.user_data]
}

run "a_local_mailbox_is_refused" {
  command = plan
  variables {
    mailbox = "file:///srv/mailbox"
  }
  expect_failures = [var.mailbox]
}

run "a_name_that_could_leave_its_folder_is_refused" {
  command = plan
  variables {
    run      = "../other"
    hub      = "my hub"
    workload = "digits\nruncmd:"
  }
  expect_failures = [var.run, var.hub, var.workload]
}

run "a_time_that_is_none_is_refused" {
  command = plan
  variables {
    expires = "'; reboot; '"
  }
  expect_failures = [var.expires]
}

run "half_a_machine_another_cloud_and_odd_names_are_refused" {
  command = plan
  variables {
    cloud       = "local"
    nodes       = 1.5
    environment = { "MY-NAME" = "1" }
  }
  expect_failures = [var.cloud, var.nodes, var.environment]
}

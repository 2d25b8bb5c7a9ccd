variables {
  run       = "digits-0a1b2c"
  hub       = "digits-0a1b2c-h1"
  expires   = "2026-11-24T06:00:00Z"
  mailbox   = "file:///srv/mail box"
  directory = "/srv/it's a hub/machine"
  python    = "/usr/bin/python3"
  agent     = "/srv/agent.pyz"
}

run "paths_with_spaces_and_quotes_are_kept_as_they_are" {
  command = plan

  assert {
    condition     = terraform_data.agent[0].input.directory == "/srv/it's a hub/machine"
    error_message = "The directory was changed on its way."
  }
  assert {
    condition     = terraform_data.agent[0].input.stop_grace_s == 30
    error_message = "The grace must default to 30 s."
  }
}

run "everything_the_stop_needs_is_in_the_state" {
  command = plan

  assert {
    condition = toset(keys(terraform_data.agent[0].input)) == toset([
      "run", "hub", "mailbox", "directory", "python", "agent", "stop_grace_s",
    ])
    error_message = "The destroy-time provisioner reads self.output only."
  }
}

run "each_further_node_has_a_name_and_a_directory_of_its_own" {
  command = plan
  variables {
    nodes = 3
  }

  assert {
    condition     = [for node in terraform_data.agent : node.input.hub] == [var.hub, "${var.hub}-n1", "${var.hub}-n2"]
    error_message = "Node 0 goes by the hub's name, node i by <hub>-n<i>."
  }
  assert {
    condition     = length(distinct([for node in terraform_data.agent : node.input.directory])) == 3
    error_message = "Two nodes share a directory."
  }
  assert {
    condition     = length(terraform_data.ready) == 3
    error_message = "A hub is ready when all of its nodes are."
  }
}

run "half_a_node_is_refused" {
  command = plan
  variables {
    nodes = 1.5
  }
  expect_failures = [var.nodes]
}

run "a_time_that_is_not_rfc_3339_is_refused" {
  command = plan
  variables {
    expires = "tomorrow"
  }
  expect_failures = [var.expires]
}

run "a_hub_name_that_could_leave_its_directory_is_refused" {
  command = plan
  variables {
    hub = "../h1"
  }
  expect_failures = [var.hub]
}

run "a_run_name_with_a_space_is_refused" {
  command = plan
  variables {
    run = "my run"
  }
  expect_failures = [var.run]
}

run "a_mailbox_without_a_known_scheme_is_refused" {
  command = plan
  variables {
    mailbox = "/srv/mailbox"
  }
  expect_failures = [var.mailbox]
}

run "relative_paths_are_refused" {
  command = plan
  variables {
    directory = "machine"
    python    = "python3"
    agent     = "agent.pyz"
  }
  expect_failures = [var.directory, var.python, var.agent]
}

run "times_that_cannot_be_waited_for_are_refused" {
  command = plan
  variables {
    ready_timeout_s = 0
    stop_grace_s    = -1
  }
  expect_failures = [var.ready_timeout_s, var.stop_grace_s]
}

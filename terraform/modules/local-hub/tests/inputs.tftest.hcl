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
    condition     = terraform_data.agent.input.directory == "/srv/it's a hub/machine"
    error_message = "The directory was changed on its way."
  }
  assert {
    condition     = terraform_data.agent.input.stop_grace_s == 30
    error_message = "The grace must default to 30 s."
  }
}

run "everything_the_stop_needs_is_in_the_state" {
  command = plan

  assert {
    condition = toset(keys(terraform_data.agent.input)) == toset([
      "run", "hub", "mailbox", "directory", "python", "agent", "stop_grace_s",
    ])
    error_message = "The destroy-time provisioner reads self.output only."
  }
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

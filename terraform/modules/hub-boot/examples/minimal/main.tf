terraform {
  required_version = ">= 1.5.0"
}

module "boot" {
  source = "../.."

  cloud    = "aws"
  run      = "digits-0a1b2c"
  hub      = "digits-0a1b2c-h1"
  workload = "digits"
  expires  = "2026-11-24T06:00:00Z"
  mailbox  = "s3://my-mailbox/harchos"
}

output "user_data" {
  description = "What the machine is booted with."
  value       = module.boot.user_data[0]
}

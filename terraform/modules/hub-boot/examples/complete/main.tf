terraform {
  required_version = ">= 1.5.0"
}

# Two machines of one hub, whose mailbox lies in an S3 store that is not Amazon's.
module "boot" {
  source = "../.."

  cloud    = "aws"
  run      = "digits-0a1b2c"
  hub      = "digits-0a1b2c-h1"
  workload = "digits"
  expires  = "2026-11-24T06:00:00Z"
  mailbox  = "s3://my-mailbox/harchos"
  nodes    = 2

  environment = {
    AWS_ENDPOINT_URL = "https://objects.example.com"
  }
}

output "user_data" {
  description = "What each machine is booted with."
  value       = module.boot.user_data
}

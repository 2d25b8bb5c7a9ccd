terraform {
  # terraform_data came with 1.4; OpenTofu has had it since its first release, 1.6.
  required_version = ">= 1.5.0"
}

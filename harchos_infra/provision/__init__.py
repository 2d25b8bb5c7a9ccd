"""From a segment to a Terraform root module, and the runner that applies it."""

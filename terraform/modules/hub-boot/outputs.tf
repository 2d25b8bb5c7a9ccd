output "user_data" {
  description = "One cloud-config text for each machine of the hub."
  value       = local.user_data

  precondition {
    # length() counts characters, base64 bytes: the clouds' limits are in bytes.
    condition     = alltrue([for text in local.user_data : length(base64encode(text)) <= 4 * floor(16383 / 3)])
    error_message = "The user-data is 16 KiB or more, which AWS refuses: make environment shorter."
  }
}

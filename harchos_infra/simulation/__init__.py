"""What any jobs would have emitted on any signal under any policy."""

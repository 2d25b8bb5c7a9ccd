"""What runs on a hub: agent, runners, power meter, mailbox."""

"""What the blueprint and the network drive share: the application's options, access control, receiving and sending."""

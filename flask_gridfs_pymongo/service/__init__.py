"""What the application decided, and what every door (blueprint, network drive) does with it."""

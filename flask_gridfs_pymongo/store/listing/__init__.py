"""Pages of names in an order, each with its newest version."""

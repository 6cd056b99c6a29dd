"""The blueprint's pages and JSON."""

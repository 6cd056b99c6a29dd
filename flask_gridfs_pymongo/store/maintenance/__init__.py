"""Maintenance of a bucket: checks, repairs, and the removal of what has expired."""

"""What keeps a bucket in order: checks, repairs, and the removal of what has expired."""

"""Resumable uploads: a document that says how many bytes are safe, and an exclusive lease to append to it."""

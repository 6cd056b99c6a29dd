"""Resumable uploads: a document that says how many bytes are stored, and an exclusive lease for appending."""

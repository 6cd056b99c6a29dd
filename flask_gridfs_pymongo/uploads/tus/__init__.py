"""Resumable uploads by the protocol tus 1.0.0."""

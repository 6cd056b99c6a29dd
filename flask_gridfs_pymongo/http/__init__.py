"""HTTP: from a stored file to a response, and what requests say. Knows Werkzeug, nothing of MongoDB.

All modules but :mod:`.response` are pure functions of strings and numbers.
"""

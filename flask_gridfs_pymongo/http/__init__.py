"""HTTP: reading requests and building responses. Knows Werkzeug, and nothing of MongoDB.

All modules except :mod:`.response` are pure functions of strings and numbers.
"""

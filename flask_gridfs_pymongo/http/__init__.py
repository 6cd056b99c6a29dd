"""One stored file to one HTTP response: knows Werkzeug, nothing of MongoDB.

All but :mod:`.response` are pure functions of strings and numbers.
"""

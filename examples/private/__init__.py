"""Private files: each user has a folder of their own, and has to log in to see it.

``login`` has a login page and a session (Flask-Login), ``basic`` uses HTTP basic authentication (Flask-HTTPAuth).
"""

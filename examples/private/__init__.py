"""Files that belong to people: each has a folder of their own, and logs in before reaching it.

``login`` has a page and a session (Flask-Login), ``basic`` leaves it to HTTP (Flask-HTTPAuth).
"""

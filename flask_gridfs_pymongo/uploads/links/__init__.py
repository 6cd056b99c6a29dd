"""Requests by a link: its token in the URL takes the place of a login."""

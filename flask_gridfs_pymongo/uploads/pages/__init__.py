"""The pages and JSON of the blueprint."""

from .render import (
    created,
    describe,
    describe_one,
    details,
    empty,
    explain,
    identify,
    is_browser,
    json_of,
    page,
    permanent_url,
    prefers_json,
    problem,
    readable,
    url_of,
    versions,
)

__all__ = [
    "created",
    "describe",
    "describe_one",
    "details",
    "empty",
    "explain",
    "identify",
    "is_browser",
    "json_of",
    "page",
    "permanent_url",
    "prefers_json",
    "problem",
    "readable",
    "url_of",
    "versions",
]

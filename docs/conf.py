"""How Sphinx builds these pages: ``python -m sphinx -W -n docs build/docs`` (extra ``docs``)."""

from importlib.metadata import version as installed

project = "flask-gridfs-pymongo"
author = copyright = "the authors of flask-gridfs-pymongo"
version = release = installed(project)

extensions = ["sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["build"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
add_module_names = False
maximum_signature_line_length = 88

nitpicky = True
# Other projects' names have no page here, and a build asks no other site for its list of names. Annotations also name
# what is not public; docstrings refer to what has a page by its short name.
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(blinker|bson|collections|datetime|flask|io|os|pathlib|pymongo|typing|werkzeug|flask_gridfs_pymongo)\..*",
    ),
    (
        r"py:class",
        r"Authenticate|Authorize|Blueprint|Cached|ClientOf|Csp|Disk|Documents|Flask|Inspect|MayUse|Memory|Quota|Semaphore|Tenant|UploadsBlueprint|WSGIApplication",
    ),
]

html_theme = "furo"
html_title = project
html_logo = html_favicon = "logo.svg"
html_copy_source = html_show_sourcelink = False
copybutton_prompt_text = "$ "  # what a command prints is not copied
copybutton_line_continuation_character = "\\"

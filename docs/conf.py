"""How the documentation is built."""

import os
import sys

sys.path.insert(0, os.path.abspath(".."))

project = "jdl"
author = "The jdl maintainers"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb"]
html_theme = "furo"
html_title = "jdl"
exclude_patterns = ["_build"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_use_ivar = True
default_role = "code"
nb_execution_mode = "off"  # the tests run every block
myst_heading_anchors = 2
suppress_warnings = ["autosectionlabel.*"]

"""Sphinx's settings for the book; `python -m tools.book` gathers its pages and calls Sphinx."""

import json
from pathlib import Path

from tools import book

project = "Vision to audio"

extensions = ["myst_nb"]
exclude_patterns = ["README.md"]  # the front page includes parts of it
smartquotes = False

nb_execution_mode = "off"  # the stored outputs are shown
nb_merge_streams = True
nb_ipywidgets_js = {}  # scripts from the network, for sliders that need a kernel
myst_enable_extensions = ["tasklist"]
myst_heading_anchors = 4
myst_heading_slug_func = "tools.book.anchor"

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_theme_options = {
    "home_page_in_toc": True,
    "show_toc_level": 2,
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # a second search field
    "footer_content_items": ["extra-footer.html"],
    "extra_footer": "Code: Apache-2.0. Text and figures: CC BY 4.0.",
}

# buttons that open a page elsewhere: once the project has a public address
address = json.loads((Path(__file__).parents[1] / "tools" / "stamp.json").read_text(encoding="utf-8"))
if address["tag"]:
    html_theme_options |= {
        "repository_url": "https://github.com/{owner}/{repo}".format(**address),
        "repository_branch": address["tag"],
        "use_repository_button": True,
        "launch_buttons": {
            "colab_url": "https://colab.research.google.com",
            "binderhub_url": "https://mybinder.org",
            "notebook_interface": "jupyterlab",
        },
    }


def setup(app):
    app.connect("source-read", book.prepare)

"""The book, as far as it can be looked at without Sphinx; `make book` fails on every warning and on what pages would fetch."""

import json
import types
from pathlib import Path

import nbformat
import pytest

from tools import book, notebooks, stamp

ADDRESS = {"owner": "someone", "repo": "sounds", "tag": "2026.11"}


def prepared(notebook, name="02_patches"):
    """The notebook as Sphinx gets it."""
    source = [notebooks.text_of(notebook)]
    environment = types.SimpleNamespace(doc2path=lambda name: Path(name).with_suffix(".ipynb"))
    book.prepare(types.SimpleNamespace(env=environment), f"notebooks/{name}", source)
    return nbformat.reads(source[0], as_version=4)


@pytest.mark.parametrize("path", notebooks.find(), ids=notebooks.title)
def test_a_stamped_notebook_has_no_badge_and_links_to_pages_of_the_book(path):
    notebook = stamp.stamp_notebook(notebooks.read(path), f"{notebooks.title(path)}.ipynb", ADDRESS)
    assert "](https://colab.research.google.com/" in notebook.cells[0].source
    shown = "".join(cell.source for cell in prepared(notebook).cells if cell.cell_type == "markdown")
    assert "colab.research.google.com" not in shown
    assert "](/notebooks/" in shown


@pytest.mark.parametrize("path", notebooks.find(), ids=notebooks.title)
def test_pictures_have_their_description_and_folded_cells_their_name(path):
    for cell in notebooks.code_cells(prepared(notebooks.read(path))):
        shown = cell.metadata["mystnb"]
        assert shown["image"]["alt"] == cell.metadata.get("alt", "")
        if "hide-input" in notebooks.tags(cell):
            assert cell.source.startswith(f"# @title {shown['code_prompt_show']}\n")


def test_links_into_a_page_find_its_headings_and_anchors():
    assert book.anchor("3. What if the copies are not equal?") == "3.-What-if-the-copies-are-not-equal?"
    assert book.of_the_book('<a id="leakage"></a>\n## 2. How far?') == "(leakage)=\n## 2. How far?"


def test_all_pages_are_gathered_anew(tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "old.md").write_text("")
    book.gather(tmp_path / "pages")
    found = {path.relative_to(tmp_path / "pages").as_posix() for path in (tmp_path / "pages").rglob("*.*")}
    assert {f"notebooks/{notebooks.title(path)}.ipynb" for path in notebooks.find()} <= found
    assert {"index.md", "README.md", "experiments/README.md", "helpers/nano/README.md"} <= found
    assert not {"old.md", "conf.py"} & found


LOADED = [
    ("a.html", '<script src="https://cdn.org/a.js"></script>'),
    ("a.html", '<link rel="stylesheet" href="//cdn.org/a.css">'),
    ("a.html", '<link rel="preload" as="font" href="http://cdn.org/a.woff2">'),
    ("a.html", '<img alt="" src="https://cdn.org/a.png">'),
    ("a.html", "<p style=\"background: url('https://cdn.org/a.png')\">"),
    ("a.css", "@font-face { src: url(https://cdn.org/a.woff2) }"),
    ("a.css", '@import "https://cdn.org/a.css";'),
]
NOT_LOADED = [
    ("a.html", '<a href="https://esc.org">ESC</a> <script src="_static/a.js"></script> <img src="../a.png">'),
    ("a.html", '<link rel="next" href="https://esc.org">'),
    ("a.css", "/* https://esc.org */ p { background: url(data:image/png;base64,AAAA) }"),
]


@pytest.mark.parametrize(("name", "text"), LOADED)
def test_what_a_page_would_fetch_is_named(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    (found,) = book.from_elsewhere(tmp_path)
    assert found.startswith(f"{name}: ")
    assert "//cdn.org/a." in found


@pytest.mark.parametrize(("name", "text"), NOT_LOADED)
def test_a_link_to_click_and_a_file_of_the_book_are_not(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert book.from_elsewhere(tmp_path) == []


def test_the_front_page_takes_what_readme_has():
    front, readme = ((notebooks.ROOT / name).read_text(encoding="utf-8") for name in ("book/index.md", "README.md"))
    borders = [json.loads(line.split(": ", 1)[1]) for line in front.splitlines() if line.startswith((":start", ":end"))]
    places = [readme.find(border) for border in borders]
    assert places[0] == 0
    assert places == sorted(places)

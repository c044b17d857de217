"""Make the book: a page for every notebook, from its stored outputs, with search and a picture in front.

    python -m tools.book    pages under build/book; start with index.html

Run by the Python of .venv-book (`make book` makes it). Nothing is executed and nothing is fetched, neither here nor by the
pages: what they would load from elsewhere is an error, like every warning of Sphinx.
"""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [  # of the project; those of folder `book` lie before them
    "README.md",
    "README.png",
    "CONTRIBUTING.md",
    "LICENSE",
    "NOTICE",
    "WORKSHOP.md",
    "experiments/README.md",
    "helpers/nano/README.md",
    "helpers/nano/*.png",
    "notebooks/*.ipynb",
    "notebooks/deeper/*.ipynb",
]
COLAB = re.compile(r"(?<=\]\()https://colab\.research\.google\.com/github/[^)]*?/notebooks/")
BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\([^)]*\)")
LOADED = {
    "script": "src",
    "img": "src",
    "source": "src",
    "iframe": "src",
    "audio": "src",
    "video": "src",
    "embed": "src",
}
ELSEWHERE = re.compile(r"(https?:)?//")


# --- what Sphinx calls ------------------------------------------------------------------------------------------------


def anchor(title: str) -> str:
    """A heading's name in links, as JupyterLab and Colab make it."""
    return title.replace(" ", "-")


def prepare(app, name: str, source: list[str]) -> None:
    """Make of a notebook's text, in place, what the book needs; Sphinx calls this after reading a page."""
    if app.env.doc2path(name).suffix != ".ipynb":
        return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = of_the_book("".join(cell["source"]))
            continue
        shown = cell["metadata"]["mystnb"] = {"image": {"alt": cell["metadata"].get("alt", "")}}
        if title := re.match("# @title (.*)", "".join(cell["source"])):
            shown |= {"code_prompt_show": title[1], "code_prompt_hide": title[1]}  # what a folded cell is called
    source[0] = json.dumps(notebook)


def of_the_book(text: str) -> str:
    """A Markdown cell's text with links to pages of the book, targets that they can name, and no badge."""
    text = BADGE.sub("", COLAB.sub("/notebooks/", text))
    return re.sub(r'^<a id="([\w-]+)"></a>$', r"(\1)=", text, flags=re.MULTILINE)


# --- making it --------------------------------------------------------------------------------------------------------


def gather(folder: Path) -> None:
    """Copy all pages into an empty `folder`, laid out as in the project: links between them stay as they are."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "book", folder, ignore=shutil.ignore_patterns("conf.py", "_static", "__pycache__"))
    for pattern in PAGES:
        for path in ROOT.glob(pattern):
            (folder / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / path.relative_to(ROOT))


class Loads(HTMLParser):
    """Collects what a page loads by itself; what a reader clicks on is not among it."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        has = dict(attributes)
        if tag == "link" and has.get("rel") not in ("canonical", "alternate", "author", "license", "next", "prev"):
            self.found.append(has.get("href"))
        self.found.append(has.get(LOADED.get(tag)))
        self.found += re.findall(r"url\(['\"]?([^'\")]+)", has.get("style") or "")


def from_elsewhere(folder: Path) -> list[str]:
    """What pages and style sheets under `folder` would load from the network, a line each."""
    found = []
    for path in sorted(folder.rglob("*.*")):
        if path.suffix == ".html":
            page = Loads()
            page.feed(path.read_text(encoding="utf-8"))
            loads = page.found
        elif path.suffix == ".css":
            loads = re.findall(r"(?:url\(|@import )\s*['\"]?([^'\")]+)", path.read_text(encoding="utf-8"))
        else:
            continue
        found += [f"{path.relative_to(folder)}: {one}" for one in loads if one and ELSEWHERE.match(one)]
    return found


def main() -> int:
    pages, out = ROOT / "build" / "book-pages", ROOT / "build" / "book"
    gather(pages)
    shutil.rmtree(out, ignore_errors=True)
    options = ["--fail-on-warning", "--keep-going", "--quiet", "--fresh-env", "--conf-dir", "book"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "-d", str(pages.with_name("book-trees")), str(pages), str(out)],
        cwd=ROOT,
    )
    if done.returncode:
        return done.returncode
    loads = from_elsewhere(out)
    for one in loads:
        print(f"loaded from elsewhere: {one}")
    print(f"The book: {out / 'index.html'}")
    return min(len(loads), 1)


if __name__ == "__main__":
    sys.exit(main())

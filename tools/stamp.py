"""Write the project's public address into every place that names it.

    python -m tools.stamp --owner OWNER --repo REPO --tag TAG    take this address, and write it everywhere
    python -m tools.stamp                                        write the address of tools/stamp.json everywhere again
    python -m tools.stamp --check                                change nothing, say which file differs

The places: the first code cell of every notebook (tag `setup`), the badge under its title, its links to other notebooks
(from a copy in somebody's Drive a relative one leads nowhere), the ways in and the badges in README.md, and CITATION.cff.
Without an address links are relative, there are no badges, and the first cell only finds the project. `tools/book.py` reads
the address, too.
"""

import argparse
import json
import posixpath
import re
import sys
from pathlib import Path

from nbformat import NotebookNode

from tools import notebooks

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = {"owner": r"[A-Za-z0-9-]+", "repo": r"[\w.-]+", "tag": r"\w[\w.+-]*"}  # and what each may look like

# With an address: the code beside or above, else in the search path, else fetched beside the notebook, under a name of its
# own until it is whole. Without one it can only be found. A test counts the lines: ten, for a cell that is folded.
FETCH = """\
# @title Set-up: finds the code of the series, or fetches it once
import pathlib as pl, subprocess, sys, time  # noqa: E401, I001, TID251

url, new = "https://github.com/{owner}/{repo}", "{repo}-{tag}"
sys.path[:0] = [p for p in ("..", "../..", new) if pl.Path(p, "helpers/nano").exists()]
if not any(pl.Path(p, "helpers/nano").exists() for p in sys.path):
    git = ["git", "clone", "--depth=1", "-b{tag}", url, f"{{new}}.{{time.time_ns()}}"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"The series cannot be fetched: {{done.stderr}}"
    sys.path.insert(0, str(pl.Path(git[-1]).rename(new)))
"""
FIND = """\
# @title Set-up: finds the code of the series
import sys
from pathlib import Path

sys.path[:0] = [p for p in ("..", "../..") if Path(p, "helpers/nano").exists()]
try:
    from helpers import nano  # noqa: F401
except ImportError:
    raise ImportError("Open this notebook inside the project, then restart.") from None
"""

COLAB = "https://colab.research.google.com/github/{owner}/{repo}/blob/{tag}/notebooks/"
IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"
WAYS_IN = """\
[![Open in GitHub Codespaces](https://github.com/codespaces/badge.svg)](https://codespaces.new/{owner}/{repo}?quickstart=1)
[![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/{owner}/{repo}/{tag}?urlpath=lab/tree/notebooks/01_spectrograms.ipynb)
[Read the book](https://{owner}.github.io/{repo}/)

"""
MARK, END = "<!-- colab -->", "<!-- end of colab -->"
NO_ADDRESS = "This copy has no public address yet, hence no badge: CONTRIBUTING.md says how to publish it."
CITATION_MARK = "# the rest is written by tools/stamp.py\n"


def setup_cell(address: dict[str, str]) -> str:
    """Source of the first code cell; `address` holds owner, repo and tag, all empty where there is none."""
    return (FETCH if address["tag"] else FIND).format(**address).rstrip("\n")


def badge(address: dict[str, str], name: str) -> str:
    """Markdown that opens the notebook of that name under notebooks/ in Colab; nothing without an address."""
    return f"[![Open in Colab]({IMAGE})]({COLAB.format(**address)}{name})" if address["tag"] else ""


def links(text: str, name: str, address: dict[str, str]) -> str:
    """Text of the notebook of that name, its links to other notebooks absolute, or relative without an address."""
    here, base = posixpath.dirname(name), COLAB.format(**address)
    any_base = COLAB.format(owner="[^/]+", repo="[^/]+", tag="[^/]+")
    text = re.sub(rf"\]\({any_base}([^)#]+)", lambda link: f"]({posixpath.relpath(link[1], here or '.')}", text)
    if not address["tag"]:
        return text
    relative = r"\]\(((?:[\w.-]+/)*[\w.-]+\.ipynb)"
    return re.sub(relative, lambda link: f"]({base}{posixpath.normpath(posixpath.join(here, link[1]))}", text)


def stamp_notebook(notebook: NotebookNode, name: str, address: dict[str, str]) -> NotebookNode:
    """Write setup cell, badge and links, in place."""
    code = notebooks.code_cells(notebook)
    if not code or "setup" not in notebooks.tags(code[0]):
        raise ValueError(f"the first code cell of {name} must be tagged `setup`: tag it, its text is written for you")
    code[0].source = setup_cell(address)
    title, *lines = notebook.cells[0].source.splitlines()
    lines = [line for line in lines if MARK not in line and IMAGE not in line]
    body = links("\n".join(lines).strip("\n"), name, address)
    for cell in notebook.cells[1:]:
        if cell.cell_type == "markdown":
            cell.source = links(cell.source, name, address)
    notebook.cells[0].source = f"{title}\n\n{badge(address, name)}{MARK}\n\n{body}".rstrip("\n")
    return notebook


def stamp_readme(text: str, names: list[str], address: dict[str, str]) -> str:
    badges = "\n".join(f"- {name.removesuffix('.ipynb')}: {badge(address, name)}" for name in names)
    block = f"{MARK}\n{WAYS_IN.format(**address) + badges if address['tag'] else NO_ADDRESS}\n{END}"
    return re.sub(f"{MARK}.*?{END}", lambda _: block, text, flags=re.DOTALL)


def stamp_citation(text: str, address: dict[str, str]) -> str:
    text = text.split(CITATION_MARK)[0] + CITATION_MARK
    if not address["tag"]:
        return text
    return text + 'repository-code: "https://github.com/{owner}/{repo}"\nversion: "{tag}"\n'.format(**address)


def stamp(root: Path, address: dict[str, str], *, check: bool = False) -> list[str]:
    """Write the address into every place under `root`, or only look; the files that differed."""
    differed = []
    found = sorted((root / "notebooks").rglob("*.ipynb"))
    paths = {path.relative_to(root / "notebooks").as_posix(): path for path in found if path.parent.name[0] != "."}
    for name, path in paths.items():
        old, new = notebooks.read(path), stamp_notebook(notebooks.read(path), name, address)
        if old != new:
            differed.append(name)
            if not check:
                notebooks.write(new, path)
    for path, new in (
        (root / "README.md", lambda text: stamp_readme(text, list(paths), address)),
        (root / "CITATION.cff", lambda text: stamp_citation(text, address)),
    ):
        old = path.read_text(encoding="utf-8")
        if old != new(old):
            differed.append(path.name)
            if not check:
                path.write_text(new(old), encoding="utf-8", newline="\n")
    return differed


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.stamp", description=__doc__.splitlines()[0])
    for name, pattern in ADDRESS.items():
        parser.add_argument(f"--{name}", help=f"letters as in {pattern}")
    parser.add_argument("--check", action="store_true", help="change nothing, say which file differs")
    options = vars(parser.parse_args(arguments))
    place = root / "tools" / "stamp.json"
    address = json.loads(place.read_text(encoding="utf-8"))
    given = {name: options[name] for name in ADDRESS if options[name] is not None}
    if given and not options["check"]:
        if given.keys() != ADDRESS.keys():
            parser.error("owner, repo and tag go together")
        for name, value in given.items():
            if not re.fullmatch(ADDRESS[name], value):
                parser.error(f"{name} must look like {ADDRESS[name]}, got {value!r}")
        address = given
        place.write_text(json.dumps(address) + "\n", encoding="utf-8", newline="\n")
    differed = stamp(root, address, check=options["check"])
    if options["check"]:
        for name in differed:
            print(f"{name}: the address is not the one of tools/stamp.json: run `python -m tools.stamp`")
        return min(len(differed), 1)
    print(f"Written: {', '.join(differed) or 'nothing had to change'}.")
    if given:
        print(f"Now commit, `git tag {address['tag']}`, and push both.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Write the project's public address into every place that names it.

    python -m tools.stamp --owner OWNER --repo REPO --tag TAG    take this address, and write it everywhere
    python -m tools.stamp                                        write the address of tools/stamp.json everywhere again
    python -m tools.stamp --check                                change nothing, say which file differs

The places: the first code cell of every notebook (tag `setup`), the badge under its title, the badges in README.md,
and CITATION.cff. Without an address there are no badges, and on Colab the first cell says what to do.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from nbformat import NotebookNode

from tools import notebooks

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = {"owner": r"[A-Za-z0-9-]+", "repo": r"[\w.-]+", "tag": r"\w[\w.+-]*"}  # and what each may look like

SETUP_CELL = """\
# Run this cell first. On Colab it fetches the code of the series; anywhere else it only finds it.
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree

OWNER, REPO, TAG = "{owner}", "{repo}", "{tag}"
if "google.colab" in sys.modules:
    assert TAG, "This copy has no public address: publish the project, and run `python -m tools.stamp` in it."
    root, part = Path("/content", f"{{REPO}}-{{TAG}}"), Path("/content", f"{{REPO}}-{{TAG}}.part")
    if not root.exists():
        rmtree(part, ignore_errors=True)  # what a broken try has left
        url = f"https://github.com/{{OWNER}}/{{REPO}}.git"
        subprocess.run(["git", "clone", "-q", "--depth", "1", "--branch", TAG, url, str(part)], check=True)
        part.rename(root)
    if [int(number) for number in version("timm").split(".")[:3]] < [1, 0, 31]:
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
        subprocess.run([*pip, "timm==1.0.31"], check=True)
else:
    root = next((p for p in [Path.cwd(), *Path.cwd().parents] if (p / "helpers/session.py").exists()), None)
    assert root, "Open this notebook inside the project: no folder `helpers` was found beside or above it."
sys.path.insert(0, str(root))
assert Path(find_spec("helpers").origin).is_relative_to(root), "Another `helpers` is loaded: restart."
"""

BADGE = (
    "[![Open in Colab]({image})](https://colab.research.google.com/github/{owner}/{repo}/blob/{tag}/notebooks/{name})"
)
IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"
MARK, END = "<!-- colab -->", "<!-- end of colab -->"
NO_ADDRESS = "This copy has no public address yet, hence no badge: CONTRIBUTING.md says how to publish it."
CITATION_MARK = "# the rest is written by tools/stamp.py\n"


def setup_cell(address: dict[str, str]) -> str:
    """Source of the first code cell; `address` holds owner, repo and tag, all empty where there is none."""
    return SETUP_CELL.format(**address).rstrip("\n")


def badge(address: dict[str, str], name: str) -> str:
    """Markdown that opens the notebook of that file name in Colab; nothing without an address."""
    return BADGE.format(image=IMAGE, name=name, **address) if address["tag"] else ""


def stamp_notebook(notebook: NotebookNode, name: str, address: dict[str, str]) -> NotebookNode:
    """Write setup cell and badge, in place."""
    code = notebooks.code_cells(notebook)
    if not code or "setup" not in notebooks.tags(code[0]):
        raise ValueError(f"the first code cell of {name} must be tagged `setup`: tag it, its text is written for you")
    code[0].source = setup_cell(address)
    title, *lines = notebook.cells[0].source.splitlines()
    lines = [line for line in lines if MARK not in line and IMAGE not in line]
    body = "\n".join(lines).strip("\n")
    notebook.cells[0].source = f"{title}\n\n{badge(address, name)}{MARK}\n\n{body}".rstrip("\n")
    return notebook


def stamp_readme(text: str, names: list[str], address: dict[str, str]) -> str:
    badges = "\n".join(f"- {Path(name).stem}: {badge(address, name)}" for name in names)
    block = f"{MARK}\n{badges if address['tag'] else NO_ADDRESS}\n{END}"
    return re.sub(f"{MARK}.*?{END}", lambda _: block, text, flags=re.DOTALL)


def stamp_citation(text: str, address: dict[str, str]) -> str:
    text = text.split(CITATION_MARK)[0] + CITATION_MARK
    if not address["tag"]:
        return text
    return text + 'repository-code: "https://github.com/{owner}/{repo}"\nversion: "{tag}"\n'.format(**address)


def stamp(root: Path, address: dict[str, str], *, check: bool = False) -> list[str]:
    """Write the address into every place under `root`, or only look; the files that differed."""
    differed = []
    paths = sorted((root / "notebooks").glob("[0-9]*.ipynb"))
    for path in paths:
        old, new = notebooks.read(path), stamp_notebook(notebooks.read(path), path.name, address)
        if old != new:
            differed.append(path.name)
            if not check:
                notebooks.write(new, path)
    names = [path.name for path in paths]
    for path, new in (
        (root / "README.md", lambda text: stamp_readme(text, names, address)),
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

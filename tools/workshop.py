"""Build what a class needs from the notebooks: editions for both sides of the room, slides, and a memory stick.

    python -m tools.workshop [--no-run] [--out build/workshop] [NAMES...]

    student/      no outputs and no solutions; the hints stay
    instructor/   solutions in place and run, with what WORKSHOP.md says of the notebook below its title
    slides.html   one file, which needs no network: from cells tagged `slide`, with pictures and sounds inside
    vision_to_audio_stick.zip   the project with the students' notebooks, sounds and weights where they are at hand

In slides a Markdown cell tagged `slide` begins a slide, and so does a heading in it; a code cell tagged `slide` adds its
output alone, at the next key. They are those of the tour; without it, those of the road. The environment (PROFILE,
AUDIO_DATA, VISION_WEIGHTS) decides what the instructor's notebooks run on, and what is at hand.
"""

import argparse
import copy
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from nbconvert import SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook
from tqdm import tqdm

from helpers import clips, esc, session
from tools import notebooks, stamp
from tools.notebooks import ROOT, tags

# nbconvert's own slides ask the network for reveal.js each time they are shown: here it is fetched once, and goes inside
REVEAL = ROOT / "tools" / "slides.txt"
BADGE = re.compile(rf"^.*{stamp.MARK}.*$", re.MULTILINE)  # a picture from elsewhere
LINK = re.compile(r"\[([^]]*)\]\((?!http)[^)]*\)")  # no notebook lies beside the slides
TEMPLATE = ROOT / "tools" / "slides.html.j2"

STICK = "vision_to_audio"  # the folder in the zip
CARRIED = ("helpers", "experiments", "tools")  # no tests: they hold solutions
CARRIED_FILES = ("*.md", "*.toml", "*.txt", "*.yml", "*.cff", "*.png", "LICENSE", "NOTICE", "Makefile")
LEFT_BEHIND = {".pyc", ".lock", ".part"}
PACKED = {".ogg", ".png", ".safetensors"}  # not made smaller by packing again


# --- editions --------------------------------------------------------------------------------------------------------


def student(notebook: NotebookNode) -> NotebookNode:
    """A copy without outputs and without the folded solutions."""
    twin = copy.deepcopy(notebook)
    twin.metadata.pop("outputs_of", None)
    for cell in twin.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = re.sub(r"\n{3,}", "\n\n", notebooks.SOLUTION.sub("", cell.source)).strip()
    twin.cells = [cell for cell in twin.cells if cell.source]
    return twin


def instructor(notebook: NotebookNode, notes: str = "") -> NotebookNode:
    """A copy with the solutions in place, not run, and the notes below the title."""
    twin = notebooks.solved(notebook)
    if notes:
        twin.cells.insert(1, new_markdown_cell(f"> **For the person in front**\n\n{notes}"))
    return twin


def notes_on(path: Path) -> str:
    """The section of WORKSHOP.md whose heading begins with the number of a notebook of the road: `### 02 Patches`."""
    if notebooks.kind(path) == "deeper":
        return ""
    text = (ROOT / "WORKSHOP.md").read_text(encoding="utf-8")
    found = re.search(rf"^### {path.name[:2]} .*?\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE)
    return found[1].strip().replace("](notebooks/", "](") if found else ""


# --- slides ----------------------------------------------------------------------------------------------------------


def deck(sources: list[NotebookNode]) -> NotebookNode:
    """The cells tagged `slide`: each heading and each Markdown cell begins a slide, what code shows comes at the next key."""
    slides, before = new_notebook(), ""
    for cell in copy.deepcopy([cell for source in sources for cell in source.cells]):
        if "exercise" in tags(cell):
            before = ""  # what comes after an exercise is not shown beside it
        elif "slide" in tags(cell) and cell.cell_type == "markdown":
            text = LINK.sub(r"\1", BADGE.sub("", cell.source))
            parts = [part.strip() for part in re.split(r"^(?=##)", text, flags=re.MULTILINE)]
            slides.cells += [new_markdown_cell(part, metadata=slide_type("slide")) for part in parts if part]
            before = "markdown"
        elif "slide" in tags(cell):
            cell.outputs = notebooks.shown(cell.outputs)
            cell.metadata |= slide_type({"": "slide", "markdown": "fragment", "code": "-"}[before])
            slides.cells.append(cell)
            before = "code"
    return notebooks.tidy_alt(slides)


def slide_type(name: str) -> NotebookNode:
    """A cell's metadata, as nbconvert reads it."""
    return NotebookNode(slideshow=NotebookNode(slide_type=name))


def reveal(name: str) -> str:
    """The text of a file of reveal.js, from the pinned package: fetched once, into the cache of downloads.

    Raises:
        OSError: If it is not there yet and cannot be fetched, or is another file.
    """
    folder = clips.cache_folder() / "reveal"
    if not (wheels := list(folder.glob("*.whl"))):
        how = ["--quiet", "--no-deps", "--require-hashes", "--requirement", str(REVEAL), "--dest", str(folder)]
        run = subprocess.run([sys.executable, "-m", "pip", "download", *how], capture_output=True, text=True)
        if run.returncode:
            why = run.stderr.strip().splitlines()[-1:]
            raise OSError(f"No slides: reveal.js cannot be had ({' '.join(why)}). Connect once, then build again.")
        wheels = list(folder.glob("*.whl"))
    with zipfile.ZipFile(wheels[0]) as files:
        text = files.read(f"sphinx_revealjs/_static/revealjs/{name}").decode("utf-8")
    return re.sub(r"@import url\([^)]*\);", "", text)  # fonts from elsewhere: the system has some


def page(slides: NotebookNode, title: str) -> str:
    """One HTML page with all that it shows inside."""
    exporter = SlidesExporter(
        raw_template=TEMPLATE.read_text(encoding="utf-8"),
        reveal_url_prefix="reveal",
        exclude_input=True,
        exclude_output_prompt=True,
        embed_images=True,
    )
    where = {"metadata": {"name": title, "path": str(notebooks.FOLDER)}}
    text, _ = exporter.from_notebook_node(slides, resources=where)
    text = re.sub(r'<link\b[^>]*href="reveal/([^"]+)"[^>]*>', lambda to: f"<style>{reveal(to[1])}</style>", text)
    return re.sub(r'<script src="reveal/([^"]+)"></script>', lambda to: f"<script>{reveal(to[1])}</script>", text)


# --- the memory stick ------------------------------------------------------------------------------------------------


def at_hand() -> tuple[dict[str, Path], list[str]]:
    """Sounds and weights of the profile `laptop`: {place on the stick: file}, and what is missing."""
    laptop, files, missing = session.PROFILES["laptop"], {}, []
    _, sounds = esc.find(laptop.dataset, clips.cache_folder())
    for file in sorted(sounds.rglob("*")) if sounds else []:
        if file.is_file() and not file.name.startswith("."):
            files[f"data/{laptop.dataset}/{file.relative_to(sounds).as_posix()}"] = file
    if not sounds:
        missing.append(f"the sounds of {laptop.dataset} (AUDIO_DATA)")
    weights = session.folder("VISION_WEIGHTS")
    for name in (laptop.vit, laptop.deit, laptop.convnet):
        found = sorted(weights.glob(f"{name.partition('.')[0]}.*")) if weights else []
        files |= {f"weights/{file.name}": file for file in found}
        if not found:
            missing.append(f"the weights of {name} (VISION_WEIGHTS)")
    return files, missing


def project_files() -> dict[str, Path]:
    """What goes along of the project itself, but for the notebooks: {place on the stick: file}."""
    found = [file for folder in CARRIED for file in sorted((ROOT / folder).rglob("*"))]
    found += [file for pattern in CARRIED_FILES for file in sorted(ROOT.glob(pattern))]
    kept = [file for file in found if file.is_file() and file.suffix not in LEFT_BEHIND]
    return {file.relative_to(ROOT).as_posix(): file for file in kept}


def write_stick(students: Path, target: Path) -> list[str]:
    """Pack project, students' notebooks, sounds and weights; what is missing."""
    extras, missing = at_hand()
    files = project_files() | extras
    files |= {f"notebooks/{file.relative_to(students).as_posix()}": file for file in sorted(students.rglob("*.ipynb"))}
    start = (ROOT / "tools" / "start.md").read_text(encoding="utf-8")
    if missing:
        start += f"\nNot on this stick: {'; '.join(missing)}. What is smaller takes their place, and says so.\n"
    part = target.with_name(target.name + ".part")
    with zipfile.ZipFile(part, "w") as stick:
        stick.writestr(f"{STICK}/START.md", start, zipfile.ZIP_DEFLATED)
        for place, file in tqdm(files.items(), desc=target.name, unit="file", mininterval=1, dynamic_ncols=True):
            how = zipfile.ZIP_STORED if file.suffix in PACKED else zipfile.ZIP_DEFLATED
            stick.write(file, f"{STICK}/{place}", how)
    part.replace(target)
    return missing


# --- all of it -------------------------------------------------------------------------------------------------------


def build(paths: list[Path], out: Path, *, run: bool = True, timeout: float = 1800) -> int:
    """Write editions, slides and stick under `out`, and say what came of each; how many of them failed."""
    failed, start = 0, time.monotonic()
    shown = {path: notebooks.read(path) for path in paths}  # for the slides: the stored run, or that of today
    for path in paths:
        name = path.relative_to(notebooks.FOLDER)
        notebooks.write(student(shown[path]), out / "student" / name)
        if run:
            (out / "instructor" / name).unlink(missing_ok=True)  # no older one in a failed one's place
            twin = instructor(shown[path], notes_on(path))
            if problems := notebooks.attempt(twin, path=path, timeout=timeout, verdict="right"):
                failed += 1
                print(f"{name} for the instructor failed and is not written:", *problems, sep="\n  ")
                continue
            shown[path] = notebooks.tidy_alt(twin)
            notebooks.write(twin, out / "instructor" / name)
    if not run:
        print("Nothing was run: no instructor's notebooks, and slides without sounds.")
    road = {path: notebook for path, notebook in shown.items() if notebooks.kind(path) != "deeper"}
    slides = deck([road[path] for path in road if notebooks.kind(path) == "tour"])
    slides = slides if slides.cells else deck(list(road.values()))
    try:
        if slides.cells:
            (out / "slides.html").write_text(page(slides, "Vision to audio"), encoding="utf-8")
        else:
            print("No slides: no cell is tagged `slide`.")
    except OSError as error:
        failed += 1
        print(error)
    stick = out / f"{STICK}_stick.zip"
    if missing := write_stick(out / "student", stick):
        print(f"Not on the stick, because it is not at hand: {'; '.join(missing)}.")
    for made in ("student", "instructor", "slides.html", stick.name):
        sizes = [file.stat().st_size for file in [out / made, *(out / made).rglob("*")] if file.is_file()]
        print(f"{made:30} {len(sizes):3} files {sum(sizes) / 1e6:6.1f} MB")
    print(f"{out}: made in {(time.monotonic() - start) / 60:.1f} minutes")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.workshop", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="starts of names, such as 00 or deeper/03; without any, all notebooks")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "workshop", help="folder for what is made")
    parser.add_argument("--no-run", action="store_true", help="run nothing: no instructor's notebooks")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one cell")
    options = parser.parse_args()
    return min(build(notebooks.find(options.names), options.out, run=not options.no_run, timeout=options.timeout), 1)


if __name__ == "__main__":
    sys.exit(main())

"""Run, store and format the notebooks, and read from the files what no run can show.

    python -m tools.notebooks run [--out build] [NAMES...]    executed copies, HTML pages and a table under build/
    python -m tools.notebooks store NAMES...                  run, and keep the outputs in the notebooks themselves
    python -m tools.notebooks format [--check]                one normal form for notebooks and code
    python -m tools.notebooks picture                         README.png anew, the opening figure of lesson 02

A name is the start of a notebook's file name: 03 is enough. The environment (PROFILE, AUDIO_DATA, VISION_WEIGHTS)
decides what the lessons run on.
"""

import argparse
import ast
import base64
import copy
import hashlib
import io
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbclient.output_widget import OutputWidget
from nbconvert import HTMLExporter
from nbconvert.filters import strip_ansi
from nbformat import NotebookNode
from PIL import Image
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"

TAGS = {
    "setup",
    "exercise",
    "player",
    "explorer",
    "nbval-check-output",
    "nbval-skip",
    "raises-exception",
}
MOST_LINES = 25  # in a cell
MOST_OUTPUT_LINES = 60  # about one screen
MOST_SKIPS = 1  # cells of one notebook that nbval may leave out
MOST_BYTES = 1_500_000

# what a check says first (`helpers.exercises.HEADLINES`, not imported here: it would bring torch along)
HEADLINES = {"Not attempted": "todo", "Not yet": "wrong", "Right": "right"}
MACHINE_PATH = re.compile(r"(?<![\w.])(/(?:home|Users|root|tmp|work|content|private)/|[A-Za-z]:\\+Users)")
PLAYER = re.compile(r"<audio\b.*?</audio>", re.DOTALL)
SOLUTION = re.compile(r"<details>\s*<summary>\s*Solution.*?</summary>.*?```python\n(.*?)\n```.*?</details>", re.DOTALL)
VIEW = "application/vnd.jupyter.widget-view+json"


# --- files -----------------------------------------------------------------------------------------------------------


def find(names: Sequence[str] = ()) -> list[Path]:
    """The lessons in order, or those whose file names start with one of the names.

    Raises:
        SystemExit: If there is no such lesson.
    """
    paths = sorted(FOLDER.glob("[0-9]*.ipynb"))
    chosen = {name: [path for path in paths if path.name.startswith(Path(name).name)] for name in names or [""]}
    for name, found in chosen.items():
        if not found:
            there = ", ".join(path.stem for path in paths) or "none"
            raise SystemExit(f"No notebook is called {Path(name).name}*: there are {there}.")
    return sorted({path for found in chosen.values() for path in found})


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def text_of(notebook: NotebookNode) -> str:
    """The file's text: sorted keys, one space of indent, a newline at the end."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def write(notebook: NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text_of(notebook), encoding="utf-8", newline="\n")
    part.replace(path)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def fingerprint(notebook: NotebookNode) -> str:
    """SHA-256 of the sources that make the outputs: all code but the setup cell, into which a release is stamped."""
    sources = [cell.source for cell in code_cells(notebook) if "setup" not in tags(cell)]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


# --- running ---------------------------------------------------------------------------------------------------------


class KeptOutput(OutputWidget):
    """Keeps what a widget shows without sending it back to the kernel.

    nbclient's echo goes through the socket on which it awaits the cell's reply, and at times the reply is then missed.
    """

    def sync_state(self) -> None: ...


def attempt(notebook: NotebookNode, *, name: str = "", timeout: float = 1800, verdict: str = "todo") -> list[str]:
    """Run the notebook from its first cell to its last in a fresh kernel, in the notebooks' folder.

    Args:
        notebook: Gets the outputs of this run; what it held before says how many figures a cell must draw.
        name: Stands before the progress bar.
        timeout: Seconds for one cell.
        verdict: What the check of every exercise must say: "todo", or "right" for a solved notebook.
    Returns:
        What went wrong, a line each; nothing for a good run.
    """
    before = copy.deepcopy(notebook)
    with tqdm(total=len(notebook.cells), desc=name, unit="cell", mininterval=1, dynamic_ncols=True) as bar:
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=timeout,
            record_timing=False,  # no clock times in the file
            coalesce_streams=True,  # a progress bar leaves its last state
            resources={"metadata": {"path": str(FOLDER)}},
            on_cell_start=lambda **_: bar.update(),
        )
        client.widget_registry["@jupyter-widgets/output"]["OutputModel"] = KeptOutput
        try:
            client.execute()
        except CellExecutionError as error:
            line = re.search(r"-+> +\d+ +(.*)", strip_ansi(error.traceback))  # a bare assert says nothing else
            said = error.evalue or (line and line[1]) or ""
            return [f"cell {bar.n - 1}: {error.ename}: {said}"]
        except (CellTimeoutError, DeadKernelError) as error:
            return [f"cell {bar.n - 1}: {str(error).splitlines()[0]}"]
    found = []
    for index, (old, new) in enumerate(zip(before.cells, notebook.cells, strict=True)):
        if new.cell_type == "code":
            found += [f"cell {index}: {one}" for one in output_problems(old, new.outputs, verdict=verdict)]
    # what the function behind `interact` raises is kept in the state of its Output widget, and nowhere else
    hidden = [output for state in client.widget_state.values() for output in state.get("outputs", [])]
    found += [f"in a widget: {one['ename']}: {one['evalue']}" for one in hidden if one["output_type"] == "error"]
    return found


def output_problems(cell: NotebookNode, outputs: list[NotebookNode], *, verdict: str = "todo") -> list[str]:
    """What the outputs of one run of a code cell say against it; `cell` is the stored cell."""
    found = []
    errors = [output for output in outputs if output.output_type == "error"]
    if "raises-exception" in tags(cell):
        raised = errors[0].ename if errors else "nothing"
        if raised != cell.metadata.get("raises"):
            found.append(f"raised {raised}, expected {cell.metadata.get('raises')}")
    for output in outputs:
        if output.output_type == "stream" and "Traceback (most recent call last)" in output.text:
            found.append(f"a traceback among the outputs: {output.text.strip().splitlines()[-1]}")
    figures, stored = pngs(outputs), pngs(cell.outputs)
    if len(figures) < len(stored):
        found.append(f"{len(figures)} figures drawn, {len(stored)} stored")
    if any(flat(figure) for figure in figures):
        found.append("a figure of one flat colour")
    if "exercise" in tags(cell) and verdict_of(outputs) != verdict:
        found.append(f"the check of the exercise says {verdict_of(outputs)!r}, expected {verdict!r}")
    return found


def pngs(outputs: list[NotebookNode]) -> list[str]:
    return [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]


def flat(png: str) -> bool:
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"))
    return bool((pixels == pixels[0, 0]).all())


def verdict_of(outputs: list[NotebookNode]) -> str | None:
    """What the check at the end of an exercise cell said: "todo", "wrong", "right", or None for no verdict."""
    texts = [output.get("data", {}).get("text/plain", "") for output in outputs]
    return next((HEADLINES[head] for text in texts if (head := text.split(".")[0]) in HEADLINES), None)


def solved(notebook: NotebookNode) -> NotebookNode:
    """A copy in which the folded solution stands in place of every exercise's stub, before the call of the check."""
    notebook, waiting = copy.deepcopy(notebook), None
    for cell in notebook.cells:
        if cell.cell_type == "code" and "exercise" in tags(cell):
            if waiting is not None:
                break
            waiting = cell
        elif waiting is not None and (solution := SOLUTION.search(cell.source)):
            waiting.source = solution[1] + "\n\n" + check_call(waiting.source)
            waiting = None
    if waiting is not None:
        raise ValueError(f"the exercise has no folded solution after it:\n{waiting.source}")
    return notebook


def check_call(source: str) -> str:
    """The last statement of an exercise cell: `exercise.check_...(...)`."""
    last = ast.parse(source).body[-1]
    call = "\n".join(source.splitlines()[last.lineno - 1 : last.end_lineno])
    if not call.startswith("exercise.check_"):
        raise ValueError(f"an exercise cell must end with exercise.check_...(...), this one ends with {call!r}")
    return call


def run(paths: list[Path], out: Path, timeout: float) -> int:
    """Execute each notebook, write copy and page under `out`, end with a table; the number of failed notebooks."""
    rows = []
    for path in paths:
        notebook, start = read(path), time.monotonic()
        problems = attempt(notebook, name=path.stem, timeout=timeout)
        rows.append((path.stem, (time.monotonic() - start) / 60, "; ".join(problems) or "ok"))
        write(notebook, out / path.name)
        page, _ = HTMLExporter().from_notebook_node(
            notebook, resources={"metadata": {"name": path.stem, "path": str(FOLDER)}}
        )
        page = re.sub(r'(href="\d\d_\w+)\.ipynb', r"\1.html", page)
        (out / f"{path.stem}.html").write_text(page, encoding="utf-8")
    width = max(len(name) for name, *_ in rows)
    print(f"\n{'notebook':{width}}  minutes  verdict")
    for name, minutes, verdict in rows:
        print(f"{name:{width}}  {minutes:7.1f}  {verdict}")
    print(f"{'in all':{width}}  {sum(minutes for _, minutes, _ in rows):7.1f}  copies and pages: {out}")
    return sum(verdict != "ok" for *_, verdict in rows)


def store(paths: list[Path], timeout: float) -> int:
    """Execute each notebook and keep its outputs in the file; one that fails is left as it was."""
    failed = 0
    for path in paths:
        notebook = read(path)
        if notebook.metadata.get("outputs_of") != fingerprint(notebook):  # figures of other code do not bind this one
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    cell.outputs = []
        if problems := attempt(notebook, name=path.stem, timeout=timeout):
            failed += 1
            print(f"{path.name} failed and is left as it was:", *problems, sep="\n  ")
            continue
        notebook.metadata["outputs_of"] = fingerprint(notebook)
        write(tidy(notebook), path)
        complain(path)
    return failed


# --- one normal form -------------------------------------------------------------------------------------------------


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Drop, in place, what changes from run to run or tells of a machine; outputs and counts are kept."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    kept = {key: notebook.metadata[key] for key in ("accelerator", "colab", "outputs_of") if key in notebook.metadata}
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.from_dict(kept | {"kernelspec": kernel, "language_info": {"name": "python"}})
    seen = set()
    for index, cell in enumerate(notebook.cells):
        if cell.get("id") in seen or "id" not in cell:
            cell["id"] = hashlib.sha256(f"{index} {cell.source}".encode()).hexdigest()[:8]
        seen.add(cell["id"])
        cell.metadata = NotebookNode({key: cell.metadata[key] for key in ("tags", "raises") if key in cell.metadata})
        if cell.cell_type == "code":
            cell.outputs = [output for one in cell.outputs if (output := tidy_output(one, tags(cell)))]
    return notebook


def tidy_output(output: NotebookNode, cell_tags: list[str]) -> NotebookNode | None:
    """The output without sound, and without a widget's view, which is an error message on a page without its state."""
    data = output.get("data", {})
    if VIEW in data and "explorer" not in cell_tags:
        return None  # a progress bar
    if VIEW in data:
        output.data = NotebookNode({"text/plain": "Run this cell to move the sliders."})
    elif "player" in cell_tags and "text/html" in data:
        data["text/html"] = PLAYER.sub("<em>Run this cell to listen.</em>", data["text/html"])
    return output


def lint(notebook: NotebookNode) -> list[str]:
    """What can be read from the file: cells that hide a failure from a run, and outputs that do not belong to it."""
    found = []
    cells = code_cells(notebook)
    if notebook.metadata.get("outputs_of") != fingerprint(notebook):
        found.append("the outputs are not those of this code: run `python -m tools.notebooks store` on it")
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("the stored run is not one from the first cell to the last")
    if sum("nbval-skip" in tags(cell) for cell in cells) > MOST_SKIPS:
        found.append(f"more than {MOST_SKIPS} cells tagged nbval-skip")
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            found += [f"cell {index}: {one}" for one in code_problems(cell) + stored_problems(cell)]
    return found


def code_problems(cell: NotebookNode) -> list[str]:
    """Code that lets a broken notebook run on, and tags that nbval would not understand."""
    found = [f"unknown tag {tag!r}" for tag in tags(cell) if tag not in TAGS]
    if "NBVAL_" in cell.source:
        found.append("a marker in a comment: use a tag")
    if "raises-exception" in tags(cell) and not cell.metadata.get("raises"):
        found.append("tagged raises-exception: metadata must name the type under 'raises'")
    if len(cell.source.splitlines()) > MOST_LINES:
        found.append(f"{len(cell.source.splitlines())} lines, the most is {MOST_LINES}")
    try:
        tree = compile(cell.source, "cell", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError as error:
        # the exit status of a shell line would be lost, and an unknown magic ends its cell in silence
        return [*found, f"not plain Python (no shell lines, no magics): {error.msg}, line {error.lineno}"]
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in ("input", "exit", "quit", "get_ipython"):
            found.append(f"`{node.id}` has no place in a lesson")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "os.system",
            "subprocess.call",
            "subprocess.Popen",
        ):
            found.append(f"{ast.unparse(node.func)}: use subprocess.run(..., check=True)")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "subprocess.run":
            if not any(word.arg == "check" and ast.unparse(word.value) == "True" for word in node.keywords):
                found.append("subprocess.run without check=True")
        elif isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            if re.search(r"everything|KeyboardInterrupt|BaseException", caught):
                found.append(f"except of {caught}: an interrupt must end the cell")
    return found


def stored_problems(cell: NotebookNode) -> list[str]:
    """Stored outputs that show a failure, a machine, or a sound that is not ours to pass on."""
    found = []
    if "exercise" in tags(cell) and verdict_of(cell.outputs) != "todo":
        found.append("an exercise is stored as its stub, with the verdict `Not attempted`")
    if any(flat(figure) for figure in pngs(cell.outputs)):
        found.append("a figure of one flat colour")
    for output in cell.outputs:
        if output.output_type == "error" and "raises-exception" not in tags(cell):
            found.append(f"an error is stored: {output.ename}")
        texts = [output.get("text", ""), *output.get("traceback", [])]
        texts += [str(value) for kind, value in output.get("data", {}).items() if not kind.startswith("image/")]
        for text in texts:
            if "data:audio" in text:
                found.append("a sound is stored: tag the cell `player`")
            elif match := MACHINE_PATH.search(text):
                found.append(f"a path of one machine: {text[max(match.start() - 10, 0) : match.end() + 20]!r}")
        if len(output.get("text", "").splitlines()) > MOST_OUTPUT_LINES:
            found.append(f"an output of more than {MOST_OUTPUT_LINES} lines")
    return found


def complain(path: Path) -> int:
    """Print what is wrong with a notebook's file; how much it is."""
    notebook = read(path)
    found = lint(notebook)
    if path.read_text(encoding="utf-8") != text_of(tidy(notebook)):
        found.append("not in normal form: run `make format`")
    if path.stat().st_size > MOST_BYTES:
        found.append(f"{path.stat().st_size / 1e6:.1f} MB, the most is {MOST_BYTES / 1e6} MB")
    for one in found:
        print(f"{path.name}: {one}")
    return len(found)


def format_all(check: bool) -> int:
    """Bring code and notebooks into their normal form, or only say where they are not; the number of complaints."""
    paths = find()
    fresh = [path for path in paths if read(path).metadata.get("outputs_of") == fingerprint(read(path))]
    ruff = [sys.executable, "-m", "ruff"]
    complaints = subprocess.run([*ruff, "format", *["--check"] * check], cwd=ROOT).returncode
    complaints += subprocess.run([*ruff, "check", "--quiet"], cwd=ROOT).returncode
    for path in paths:
        if not check:
            notebook = read(path)
            if path in fresh:  # another layout of the code makes the same outputs
                notebook.metadata["outputs_of"] = fingerprint(notebook)
            write(tidy(notebook), path)
        complaints += complain(path)
    return complaints


def opening_figure() -> bytes:
    """The first figure of lesson 02, as a PNG file: the series in one picture."""
    figures = [png for cell in code_cells(read(find(["02"])[0])) for png in pngs(cell.outputs)]
    return base64.b64decode(figures[0])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.notebooks", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
        ("run", "execute into copies and pages"),
        ("store", "execute and keep the outputs"),
    ):
        command = commands.add_parser(name, help=purpose)
        command.add_argument("names", nargs="*" if name == "run" else "+", help="starts of file names, such as 03")
        command.add_argument("--timeout", type=float, default=1800, help="seconds for one cell")
        if name == "run":
            command.add_argument("--out", type=Path, default=Path("build"), help="folder for copies and pages")
    command = commands.add_parser("format", help="one normal form for notebooks and code")
    command.add_argument("--check", action="store_true", help="change nothing, say what is wrong")
    commands.add_parser("picture", help="README.png anew")
    options = parser.parse_args()
    if options.command == "run":
        failures = run(find(options.names), options.out, options.timeout)
    elif options.command == "store":
        failures = store(find(options.names), options.timeout)
    elif options.command == "format":
        failures = format_all(options.check)
    else:
        failures = 0
        (ROOT / "README.png").write_bytes(opening_figure())
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())

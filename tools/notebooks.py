"""Run, store and format the notebooks, and read from the files what no run can show.

    python -m tools.notebooks run [--out build] [NAMES...]    executed copies, HTML pages and a table under build/
    python -m tools.notebooks store NAMES...                  run, and keep the outputs in the notebooks themselves
    python -m tools.notebooks format [--check]                one normal form for notebooks and code
    python -m tools.notebooks measure [NAMES...]              how long each is, beside what it may be
    python -m tools.notebooks picture                         README.png anew, the opening figure of lesson 02

A name is the start of a notebook's name under notebooks/: 03 or deeper/03 is enough. The environment (PROFILE, AUDIO_DATA,
VISION_WEIGHTS) decides what the lessons run on.
"""

import argparse
import ast
import base64
import copy
import hashlib
import io
import math
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbclient.output_widget import OutputWidget
from nbconvert import HTMLExporter
from nbconvert.filters import strip_ansi
from nbformat import NotebookNode
from nbval.plugin import coalesce_streams
from PIL import Image
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"

FOLDED = ("setup", "imports")  # code that is hidden: in JupyterLab, in Colab (first line `# @title`) and in the book
TAGS = {*FOLDED, "hide-input", "exercise", "player", "explorer", "slide", "nbval-check-output", "raises-exception"}
METADATA = {  # of every notebook; Colab opens it with a GPU
    "accelerator": "GPU",
    "colab": {"gpuType": "T4"},
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
MOST_FOLDED_LINES = 10
MOST_COLUMNS = 88  # of a code line: a book page, a projector
MOST_OUTPUT_LINES = 60  # about one screen
MOST_BYTES = 1_500_000

# what a check says first (`helpers.exercises.HEADLINES`, not imported here: it would bring torch along)
HEADLINES = {"Not attempted": "todo", "Not yet": "wrong", "Right": "right"}
MACHINE_PATH = re.compile(r"(?<![\w.])(/(?:home|Users|root|tmp|work|content|private)/|[A-Za-z]:\\+Users)")
PLAYER = re.compile(r"<audio\b.*?</audio>", re.DOTALL)
SOLUTION = re.compile(r"<details>\s*<summary>\s*Solution.*?</summary>.*?```python\n(.*?)\n```.*?</details>", re.DOTALL)
TRUTH = re.compile(r"(.*\.)?(equal|allclose|isclose|array_equal|all|any)", re.DOTALL)  # functions that only say whether
LEAVES = ast.Return | ast.Raise | ast.Break | ast.Continue
VIEW = "application/vnd.jupyter.widget-view+json"


# --- files -----------------------------------------------------------------------------------------------------------


def find(names: Sequence[str] = ()) -> list[Path]:
    """The lessons in order, or those whose file names start with one of the names.

    Raises:
        SystemExit: If there is no such lesson.
    """
    paths = sorted(path for path in FOLDER.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
    paths.sort(key=lambda path: len(path.parts))  # the road before what lies deeper
    chosen = {name: [path for path in paths if title(path).startswith(short(name))] for name in names or [""]}
    for name, found in chosen.items():
        if not found:
            there = ", ".join(map(title, paths)) or "none"
            raise SystemExit(f"No notebook is called {short(name)}*: there are {there}.")
    return [path for path in paths if any(path in found for found in chosen.values())]


def title(path: Path) -> str:
    """A notebook's name under the notebooks' folder: 03_positions, deeper/03_position_tables."""
    return path.relative_to(FOLDER).with_suffix("").as_posix()


def short(name: str) -> str:
    """What a name typed on the command line is the start of: a path from the project's folder will do, too."""
    return re.sub(r"^\.?/?(notebooks/)?|\.ipynb$", "", Path(name).as_posix() if name else "")


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


def attempt(
    notebook: NotebookNode, *, path: Path | None = None, timeout: float = 1800, verdict: str = "todo"
) -> list[str]:
    """Run the notebook from its first cell to its last in a fresh kernel, in its own folder.

    Args:
        notebook: Gets the outputs of this run; what it held before says how many figures a cell must draw.
        path: Where the notebook lies; its name stands before the progress bar.
        timeout: Seconds for one cell.
        verdict: What the check of every exercise must say: "todo", or "right" for a solved notebook.
    Returns:
        What went wrong, a line each; nothing for a good run.
    """
    before = copy.deepcopy(notebook)
    with tqdm(
        total=len(notebook.cells), desc=title(path) if path else "", unit="cell", mininterval=1, dynamic_ncols=True
    ) as bar:
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=timeout,
            record_timing=False,  # no clock times in the file
            resources={"metadata": {"path": str(path.parent if path else FOLDER)}},
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
        finally:
            for cell in code_cells(
                notebook
            ):  # a progress bar leaves its last state; nbclient's own takes n² for a line of n
                cell.outputs = coalesce_streams(cell.outputs)
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
    there = outputs if "explorer" in tags(cell) else shown(outputs)  # a page keeps a sentence in a slider's place
    if shown(cell.outputs) and not there:
        found.append("no output, the stored run has one")
    figures, stored = pngs(outputs), pngs(cell.outputs)
    if len(figures) < len(stored):
        found.append(f"{len(figures)} figures drawn, {len(stored)} stored")
    if any(flat(figure) for figure in figures):
        found.append("a figure of nearly one flat colour")
    if "exercise" in tags(cell) and verdict_of(outputs) != verdict:
        found.append(f"the check of the exercise says {verdict_of(outputs)!r}, expected {verdict!r}")
    return found


def shown(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs that are there for the reader, not warnings and progress bars."""
    return [one for one in outputs if one.get("name") != "stderr" and VIEW not in one.get("data", {})]


def pngs(outputs: list[NotebookNode]) -> list[str]:
    return [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]


def flat(png: str) -> bool:
    """Whether no more than one pixel in a thousand stands out from the picture's corner."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), dtype=int)
    return bool((abs(pixels - pixels[0, 0]).max(axis=-1) > 8).mean() <= 1e-3)


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
            if lost := definitions(waiting.source) - definitions(solution[1]):
                raise ValueError(f"the folded solution does not define what the exercise asks for: {', '.join(lost)}")
            waiting.source = solution[1] + "\n\n" + check_call(waiting.source)
            waiting = None
    if waiting is not None:
        raise ValueError(f"the exercise has no folded solution after it:\n{waiting.source}")
    return notebook


def definitions(source: str) -> set[str]:
    """First lines of the functions, with their arguments: double(x)."""
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return {f"{one.name}({ast.unparse(one.args)})" for one in functions}


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
        problems = attempt(notebook, path=path, timeout=timeout)
        rows.append((title(path), (time.monotonic() - start) / 60, "; ".join(problems) or "ok"))
        copied = out / path.relative_to(FOLDER)
        write(tidy_alt(notebook), copied)
        page, _ = HTMLExporter().from_notebook_node(
            notebook, resources={"metadata": {"name": path.stem, "path": str(path.parent)}}
        )
        page = re.sub(r'(href="(?:\.\./|deeper/)?\d\d_\w+)\.ipynb', r"\1.html", page)
        copied.with_suffix(".html").write_text(page, encoding="utf-8")
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
        if problems := attempt(notebook, path=path, timeout=timeout):
            failed += 1
            print(f"{title(path)} failed and is left as it was:", *problems, sep="\n  ")
            continue
        notebook.metadata["outputs_of"] = fingerprint(notebook)
        write(tidy(notebook), path)
        complain(path)
    return failed


# --- one normal form -------------------------------------------------------------------------------------------------


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Drop, in place, what changes from run to run or tells of a machine; outputs and counts are kept."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    kept = {key: notebook.metadata[key] for key in ("outputs_of",) if key in notebook.metadata}
    notebook.metadata = nbformat.from_dict(METADATA | kept)
    seen = set()
    for index, cell in enumerate(notebook.cells):
        if cell.get("id") in seen or "id" not in cell:
            cell["id"] = hashlib.sha256(f"{index} {cell.source}".encode()).hexdigest()[:8]
        seen.add(cell["id"])
        cell.metadata = NotebookNode(
            {key: cell.metadata[key] for key in ("tags", "raises", "alt") if key in cell.metadata}
        )
        if any(tag in FOLDED for tag in tags(cell)):
            cell.metadata.tags = [*(tag for tag in tags(cell) if tag != "hide-input"), "hide-input"]
            cell.metadata.update(cellView="form", jupyter={"source_hidden": True})
        if cell.cell_type == "code":
            cell.outputs = [output for one in cell.outputs if (output := tidy_output(one, tags(cell)))]
    return tidy_alt(notebook)


def tidy_alt(notebook: NotebookNode) -> NotebookNode:
    """Write each cell's `alt`, what its figure shows in words, where pages look for it: into the picture's metadata."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "alt" in cell.metadata and "image/png" in output.get("data", {}):
                output.metadata["image/png"] = {"alt": cell.metadata.alt}
    return notebook


def tidy_output(output: NotebookNode, cell_tags: list[str]) -> NotebookNode | None:
    """The output without sound, and without a widget's view, which is an error message on a page without its state."""
    data = output.get("data", {})
    if VIEW in data and "explorer" not in cell_tags:
        return None  # a progress bar
    if VIEW in data:
        output.data = NotebookNode({"text/plain": "Run this cell to try it."})
    elif "player" in cell_tags and "text/html" in data:
        data["text/html"] = PLAYER.sub("<em>Run this cell to listen.</em>", data["text/html"])
    return output


def lint(notebook: NotebookNode) -> list[str]:
    """What can be read from the file: cells that hide a failure from a run, and outputs that do not belong to it."""
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        return [f"no notebook by nbformat's schema: {error.message}"]
    found, cells = [], code_cells(notebook)
    if notebook.metadata.get("outputs_of") != fingerprint(notebook):
        found.append("the outputs are not those of this code: run `python -m tools.notebooks store` on it")
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("the stored run is not one from the first cell to the last")
    try:
        found += answer_problems(notebook)
    except (ValueError, SyntaxError) as error:
        found.append(str(error))
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            found += [f"cell {index}: {one}" for one in code_problems(cell) + stored_problems(cell)]
        elif cell.cell_type == "raw":
            found.append(f"cell {index}: a raw cell is not run")
    return found


def answer_problems(notebook: NotebookNode) -> list[str]:
    """Solutions that do more than define, and cells that use what only a solution brings: most readers lack it.

    Without either, a notebook goes on after a solved exercise exactly as after its stub.

    Raises:
        ValueError: If an exercise has no solution, as `solved` says it.
    """
    found, brought, imported = [], set(), set()
    for index, (stub, cell) in enumerate(zip(notebook.cells, solved(notebook).cells, strict=True)):
        body, stub_body = statements(cell), statements(stub)
        imported |= imports(stub_body)
        if "exercise" in tags(cell):
            brought |= imports(body) | {one.name for one in body if isinstance(one, ast.FunctionDef)}
            others = [one for one in body if not isinstance(one, ast.FunctionDef | ast.Import | ast.ImportFrom)]
            more = {ast.unparse(one) for one in others} - {ast.unparse(one) for one in stub_body}
            found += [f"cell {index}: a solution is functions and imports, not {text}" for text in sorted(more)]
            continue
        # `my_sound = None` and `if my_sound:` below it: what the reader switches on
        unset = {ast.unparse(one.targets[0]) for one in body if isinstance(one, ast.Assign) and is_none(one.value)}
        run = [one for one in body if not (isinstance(one, ast.If) and ast.unparse(one.test) in unset)]
        used = {node.id for one in run for node in ast.walk(one) if isinstance(node, ast.Name)}
        for name in sorted(used & brought - imported):
            found.append(f"cell {index} uses `{name}`, which only the answer to an exercise brings")
    return found


def statements(cell: NotebookNode) -> list[ast.stmt]:
    try:
        return ast.parse(cell.source).body if cell.cell_type == "code" else []
    except SyntaxError:  # `code_problems` says so
        return []


def imports(body: list[ast.stmt]) -> set[str]:
    """Names that import statements bind."""
    aliases = [alias for one in body if isinstance(one, ast.Import | ast.ImportFrom) for alias in one.names]
    return {(alias.asname or alias.name).split(".")[0] for alias in aliases}


def is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def code_problems(cell: NotebookNode) -> list[str]:
    """Code that lets a broken notebook run on, where notebooks/.ruff.toml has no rule, and tags that nobody understands."""
    found = [f"unknown tag {tag!r}" for tag in tags(cell) if tag not in TAGS]
    if re.search("NBVAL_|PYTEST_VALIDATE", cell.source):
        found.append("a marker in a comment: use a tag")
    if "raises-exception" in tags(cell) and not cell.metadata.get("raises"):
        found.append("tagged raises-exception: metadata must name the type under 'raises'")
    if "exercise.check_" in cell.source and "exercise" not in tags(cell):
        found.append("an exercise without its tag")
    if widest := [line for line in cell.source.splitlines() if len(line) > MOST_COLUMNS]:
        found.append(f"a line of {len(widest[0])} columns, the most is {MOST_COLUMNS}: {widest[0].strip()[:40]}")
    if any(tag in FOLDED for tag in tags(cell)):
        if len(cell.source.splitlines()) > MOST_FOLDED_LINES:
            found.append(f"{len(cell.source.splitlines())} lines in a folded cell, the most is {MOST_FOLDED_LINES}")
        if not cell.source.startswith("# @title "):
            found.append("a folded cell begins with `# @title ...`: Colab shows that line in its place")
    try:
        tree = compile(cell.source, "cell", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError as error:
        # the exit status of a shell line would be lost, and an unknown magic ends its cell in silence
        return [*found, f"not plain Python (no shell lines, no magics): {error.msg}, line {error.lineno}"]
    if all(ast.unparse(one) in ("pass", "...") for one in tree.body):
        found.append("a cell without code")
    if not cell.outputs and any(map(shows, tree.body)):
        found.append("a cell that shows something, stored without an output")
    if any(isinstance(node, ast.Expr) and isinstance(node.value, ast.Compare) for node in tree.body[-1:]):
        found.append("a comparison at the end: assert it")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in ("input", "exit", "quit", "get_ipython", "__import__"):
            found.append(f"`{node.id}` has no place in a lesson")
        elif isinstance(node, ast.Assert) and not can_fail(node.test):
            found.append(f"an assertion that cannot fail, or does not say what it compares: {ast.unparse(node)}")
        elif isinstance(node, ast.If | ast.While | ast.IfExp) and fixed(node.test):
            if not (isinstance(node, ast.While) and ast.unparse(node.test) == "True"):  # a loop that ends inside
                found.append(f"a condition that is a constant: {ast.unparse(node).splitlines()[0]}")
        elif isinstance(node, ast.Expr) and TRUTH.fullmatch(ast.unparse(getattr(node.value, "func", node))):
            found.append(f"a comparison that only shows: assert {ast.unparse(node)}")
        elif isinstance(node, ast.ExceptHandler) and "KeyboardInterrupt" in ast.unparse(node.type or node):
            found.append("except of KeyboardInterrupt: an interrupt must end the cell")
        body = getattr(node, "body", None)
        if isinstance(body, list) and any(isinstance(one, LEAVES) for one in body[:-1]):
            found.append(f"code that is never reached, in: {ast.unparse(node).splitlines()[0]}")
    return found


def shows(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.For | ast.With):
        return any(map(shows, statement.body))
    return isinstance(statement, ast.Expr) and bool(re.match(r"(print|same|figures\.\w+)\(", ast.unparse(statement)))


def fixed(test: ast.expr) -> bool:
    """Whether a condition is decided before the run: a constant, behind a `not`, or beside an `and` or `or`."""
    if isinstance(test, ast.BoolOp):
        return any(map(fixed, test.values))
    return isinstance(test, ast.Constant) or isinstance(test, ast.UnaryOp) and fixed(test.operand)


def can_fail(test: ast.expr) -> bool:
    """Whether an assertion compares or calls something: a name, a literal or a generator is nearly always true."""
    if isinstance(test, ast.BoolOp):
        return all(map(can_fail, test.values))
    if isinstance(test, ast.Compare | ast.Call):
        operands = test.args if isinstance(test, ast.Call) else [test.left, *test.comparators]
        texts = {ast.unparse(one) for one in operands}
        if len(operands) > 1 and len(texts) == 1 and "(" not in min(texts):  # two calls may differ
            return False
    if isinstance(test, ast.Compare):
        return not isinstance(test.ops[0], ast.IsNot) and not all(isinstance(one, ast.Constant) for one in operands)
    return isinstance(test, ast.Call) or isinstance(test, ast.UnaryOp) and not fixed(test)


def stored_problems(cell: NotebookNode) -> list[str]:
    """Stored outputs that show a failure, a machine, or a sound that is not ours to pass on."""
    found = []
    if "exercise" in tags(cell) and verdict_of(cell.outputs) != "todo":
        found.append("an exercise is stored as its stub, with the verdict `Not attempted`")
    if any(flat(figure) for figure in pngs(cell.outputs)):
        found.append("a figure of nearly one flat colour")
    if any(not pngs([one]) for one in cell.outputs if any(kind.startswith("image/") for kind in one.get("data", {}))):
        found.append("a figure that is no PNG")
    if pngs(cell.outputs) and len(cell.metadata.get("alt", "").split()) < 8:
        found.append("a figure without a description: write what it shows into the cell's metadata, key `alt`")
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


# --- how long a lesson is --------------------------------------------------------------------------------------------

EXERCISE = re.compile(r"^### Exercise (\S+): .*\n+> .*?(\d+) minutes", re.MULTILINE)
PREDICTION = re.compile(r"^\*\*(?:Before you run|Vote)[:.]\*\*.*(?:\n.+)*", re.MULTILINE)
STATED = re.compile(r"\b(\d+) minutes")


@dataclass(frozen=True)
class Size:
    """What a notebook asks of its reader. Lines are counted with blank ones; the set-up cell does not count."""

    cells: int
    words: int  # without folded text and code blocks
    code_lines: int
    lines: tuple[int, int, int]  # in a cell: median, nine of ten, most
    figures: int
    exercises: int
    predictions: int
    minutes: int


# What each kind may be at most. Figures, exercises and predictions: (least, most).
BUDGETS = {
    "road": {"words": 1500, "code_lines": 200, "lines": (7, 12, 18), "minutes": 45},
    "deeper": {"cells": 45, "words": 2600, "lines": (8, 14, 20)},
    "tour": {"cells": 36, "words": 1600, "lines": (7, 12, 18)},
}
RANGES = {
    "road": {"cells": (24, 32), "figures": (4, 6), "exercises": (2, 3), "predictions": (1, 4)},
    "deeper": {"figures": (3, 12)},
    "tour": {"exercises": (1, 3), "predictions": (1, 4)},
}
LONGER = {"05_fine_tuning": {"minutes": 55}}


def kind(path: Path) -> str:
    return "deeper" if path.parent.name == "deeper" else "tour" if path.name.startswith("00") else "road"


def measure(notebook: NotebookNode) -> Size:
    """Count what a learner reads and types; minutes are words / 150 + 0.08 a line of code + 0.7 a figure + exercises."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    seen = re.sub(r"<details>.*?</details>|^```.*?^```|<[^>]+>", " ", text, flags=re.DOTALL | re.MULTILINE)
    seen = re.sub(r"\]\([^)]*\)", "]", seen)  # where a link leads
    words = sum(bool(re.search(r"\w", word)) for word in seen.split())
    cells = [cell for cell in code_cells(notebook) if "setup" not in tags(cell)]
    lines = sorted(len(cell.source.splitlines()) for cell in cells) or [0]
    exercises = EXERCISE.findall(text)
    figures = sum(bool(pngs(cell.outputs)) for cell in cells)
    minutes = words / 150 + 0.08 * sum(lines) + 0.7 * figures + sum(int(minutes) for _, minutes in exercises)
    return Size(
        cells=len(notebook.cells),
        words=words,
        code_lines=sum(lines),
        lines=(lines[(len(lines) - 1) // 2], lines[math.ceil(0.9 * len(lines)) - 1], lines[-1]),
        figures=figures,
        exercises=len(exercises),
        predictions=len(PREDICTION.findall(seen)),
        minutes=math.ceil(minutes),
    )


def budget_problems(notebook: NotebookNode, path: Path) -> list[str]:
    """Where a notebook asks more of its reader than its kind may, or states other minutes than are measured."""
    size, found = measure(notebook), []
    for name, most in (BUDGETS[kind(path)] | LONGER.get(path.stem, {})).items():
        if np.any(np.greater(getattr(size, name), most)):
            found.append(f"{name} {getattr(size, name)}, the most is {most}")
    for name, (least, most) in RANGES[kind(path)].items():
        if not least <= getattr(size, name) <= most:
            found.append(f"{name} {getattr(size, name)}, from {least} to {most} are expected")
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for prediction in PREDICTION.findall(text):
        if any(f"({letter})" not in prediction for letter in "abc"):
            found.append(f"a prediction without (a), (b), (c): {prediction[:60]!r}")
    stated = STATED.search(notebook.cells[0].source if notebook.cells else "")
    if stated is None or int(stated[1]) != size.minutes:
        found.append(f"the title cell states {stated and stated[1]} minutes, measured are {size.minutes}")
    if len(EXERCISE.findall(text)) != sum("exercise" in tags(cell) for cell in notebook.cells):
        found.append(
            "each exercise needs a title `### Exercise 1.2: ...`, a line `> ... 5 minutes ...` below it, and a tagged cell"
        )
    return found


def print_sizes(paths: list[Path]) -> None:
    width = max(len(title(path)) for path in paths)
    print(f"{'notebook':{width}}  cells  words  code  lines a cell  figures  exercises  predictions  minutes")
    for path in paths:
        size = measure(read(path))
        lines = " · ".join(map(str, size.lines))
        print(
            f"{title(path):{width}}  {size.cells:5}  {size.words:5}  {size.code_lines:4}  {lines:>12}  {size.figures:7}"
            f"  {size.exercises:9}  {size.predictions:11}  {size.minutes:7}"
        )


def complain(path: Path) -> int:
    """Print what is wrong with a notebook's file; how much it is."""
    notebook = read(path)
    found = lint(notebook) + budget_problems(notebook, path)
    if path.read_bytes() != text_of(tidy(notebook)).encode():
        found.append("not in normal form: run `make format`")
    if path.stat().st_size > MOST_BYTES:
        found.append(f"{path.stat().st_size / 1e6:.1f} MB, the most is {MOST_BYTES / 1e6} MB")
    for one in found:
        print(f"{title(path)}: {one}")
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
        command.add_argument("names", nargs="*" if name == "run" else "+", help="starts of names, such as 03")
        command.add_argument("--timeout", type=float, default=1800, help="seconds for one cell")
        if name == "run":
            command.add_argument("--out", type=Path, default=Path("build"), help="folder for copies and pages")
    command = commands.add_parser("format", help="one normal form for notebooks and code")
    command.add_argument("--check", action="store_true", help="change nothing, say what is wrong")
    command = commands.add_parser("measure", help="how long each notebook is")
    command.add_argument("names", nargs="*", help="starts of names, such as 03 or deeper/03")
    commands.add_parser("picture", help="README.png anew")
    options = parser.parse_args()
    if options.command == "run":
        failures = run(find(options.names), options.out, options.timeout)
    elif options.command == "store":
        failures = store(find(options.names), options.timeout)
    elif options.command == "format":
        failures = format_all(options.check)
    elif options.command == "measure":
        failures = 0
        print_sizes(find(options.names))
    else:
        failures = 0
        (ROOT / "README.png").write_bytes(opening_figure())
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())

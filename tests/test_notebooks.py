"""Every notebook keeps the frame of the series, and the tools that run, store and format them do what they say."""

import re

import broken_notebooks as made
import pytest
from nbformat.v4 import new_markdown_cell, new_output

from helpers import exercises
from tools import notebooks

PATHS = notebooks.find()
ROAD = [path for path in PATHS if notebooks.kind(path) == "road"]
DEEPER = [path for path in PATHS if notebooks.kind(path) == "deeper"]
every_notebook = pytest.mark.parametrize("path", PATHS, ids=notebooks.title)
every_lesson = pytest.mark.parametrize("path", ROAD, ids=notebooks.title)


def tagged(notebook, tag):
    return [cell for cell in notebooks.code_cells(notebook) if tag in notebooks.tags(cell)]


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def said_by(notebook):
    """All text that the stored run printed or showed."""
    outputs = [output for cell in notebooks.code_cells(notebook) for output in cell.outputs]
    return "\n".join(one.get("text") or one.get("data", {}).get("text/plain", "") for one in outputs)


# --- the notebooks ---------------------------------------------------------------------------------------------------


def test_there_are_notebooks():
    assert PATHS


@every_notebook
def test_nothing_in_the_file_hides_a_failure_or_is_too_long(path, capsys):
    assert notebooks.complain(path) == 0, capsys.readouterr().out


@every_notebook
def test_starts_with_title_setup_and_imports(path):
    notebook = notebooks.read(path)
    first, second = notebooks.code_cells(notebook)[:2]
    assert notebook.cells[0].cell_type == "markdown"
    assert "setup" in notebooks.tags(first)
    assert first.source == notebooks.code_cells(notebooks.read(PATHS[0]))[0].source
    assert "imports" in notebooks.tags(second)
    assert "here = session.start()" in second.source


# percentages that no run has to print, and where they come from
KNOWN = {
    "95 %": "the usual level of an interval",
    "95.7 %": "human listeners on ESC-10, from the data set's own answers",
    "100 %": "all",
    "50 %": "half",
}


@every_notebook
def test_a_number_in_the_text_is_printed_by_the_stored_run(path):
    """Numbers live in outputs; a percentage in the text is there too, to its last digit, or its paragraph has a source."""
    notebook = notebooks.read(path)
    printed = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", said_by(notebook))]
    text = re.sub(r"<details>.*?</details>|^```.*?^```", "", prose(notebook), flags=re.DOTALL | re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n", text):
        if "](http" in paragraph:
            continue
        for number, unit in re.findall(r"(?<![\d.])(\d+(?:\.\d+)?)\s?(%|points)", paragraph):
            digits = len(number.partition(".")[2])
            found = any(round(scale * one, digits) == float(number) for one in printed for scale in (1, 100))
            assert found or f"{number} {unit}" in KNOWN, f"{number} {unit} is printed nowhere: {paragraph[:200]}"


@every_notebook
def test_every_figure_is_followed_by_a_sentence(path):
    cells = notebooks.read(path).cells
    for index, cell in enumerate(cells):
        if notebooks.pngs(cell.get("outputs", [])):  # the sound of what is drawn, or its slider, may stand in between
            between = ("player", "explorer")
            below = next((one for one in cells[index + 1 :] if not set(between) & set(notebooks.tags(one))), None)
            assert below, f"cell {index}: nothing below its figure"
            assert below.cell_type == "markdown", f"cell {index}: no text below its figure"


@every_notebook
def test_every_explorer_has_a_figure_beside_it(path):
    cells = notebooks.read(path).cells
    explorers = [index for index, cell in enumerate(cells) if "explorer" in notebooks.tags(cell)]
    assert len(explorers) <= 2
    for index in explorers:
        beside = cells[max(index - 4, 0) : index + 5]
        assert any(notebooks.pngs(cell.get("outputs", [])) for cell in beside), f"cell {index}"
    for index, cell in enumerate(cells):
        if cell.cell_type == "code" and re.search(
            r"\b(interact|interactive|interactive_output|explorers\.\w+)\(", cell.source
        ):
            assert index in explorers, f"cell {index}: not tagged `explorer`"


@every_notebook
def test_exercises_have_hints_and_solution(path):
    notebook = notebooks.read(path)
    assert len(re.findall(r"<summary>\s*Hint", prose(notebook))) >= len(tagged(notebook, "exercise"))
    notebooks.solved(notebook)


@every_notebook
def test_links_lead_somewhere(path):
    text = prose(notebooks.read(path))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    for target in targets:
        if not re.match(r"https?://|#|mailto:|attachment:", target):
            assert (path.parent / target.split("#")[0]).exists(), target
    place = ROAD.index(path) if path in ROAD else -2
    for neighbour in ROAD[max(place - 1, 0) : place + 2] if path in ROAD else []:
        assert neighbour == path or f"({neighbour.name}" in text, f"no link to {neighbour.name}"


def test_road_and_deeper_lead_to_each_other():
    links = {path: prose(notebooks.read(path)) for path in PATHS}
    for deeper in DEEPER:
        assert any(f"(deeper/{deeper.name}" in links[lesson] for lesson in ROAD), f"nothing leads to {deeper.name}"
        assert any(f"(../{lesson.name}" in links[deeper] for lesson in ROAD), f"nothing leads back from {deeper.name}"


@pytest.mark.solved
@every_notebook
def test_solved_twin_runs_to_its_end_with_every_exercise_right(path):
    assert not notebooks.attempt(notebooks.solved(notebooks.read(path)), path=path, timeout=600, verdict="right")


# --- the tools -------------------------------------------------------------------------------------------------------

STUB = "def double(x):\n    return ...\n\nexercise.check_double(double)"
FOLDED = (
    "<details><summary>Solution</summary>\n\n```python\ndef double(x):\n    return 2 * x\n```\nTwice.\n\n</details>"
)
CHECK = """
class exercise:
    def check_double(answer):
        word = 'Not attempted' if answer(1) is ... else 'Right' if answer(2) == 4 else 'Not yet'
        return type('Verdict', (), {'__repr__': lambda self: f'{word}. So it is.'})()
"""
LESSON = made.notebook(
    CHECK,
    made.code(STUB, tags=["exercise"], outputs=[made.said("Not attempted. So it is.")]),
    new_markdown_cell("<details><summary>Hint: none</summary>None.</details>"),
    new_markdown_cell(FOLDED),
    "from ipywidgets import interact\n@interact(n=(1, 5))\ndef f(n=2):\n    print(1 / (n - offset))",
)


def lesson(**changes):
    """LESSON as a fresh copy; `offset` decides whether its slider fails at the start."""
    notebook = made.notebook(*[cell.copy() for cell in LESSON.cells])
    notebook.cells[0].source += f"offset = {changes.get('offset', 0)}"
    notebook.metadata.outputs_of = notebooks.fingerprint(notebook)
    return notebook


def test_headlines_are_those_of_the_exercises():
    assert {word: outcome for outcome, word in exercises.HEADLINES.items()} == notebooks.HEADLINES


def test_solved_twin_takes_the_folded_solution():
    twin = notebooks.solved(lesson())
    assert twin.cells[1].source == "def double(x):\n    return 2 * x\n\nexercise.check_double(double)"
    with pytest.raises(ValueError, match="no folded solution"):
        notebooks.solved(made.notebook(made.code(STUB, tags=["exercise"])))
    with pytest.raises(ValueError, match="must end with"):
        notebooks.solved(made.notebook(made.code("double = ...", tags=["exercise"]), new_markdown_cell(FOLDED)))


def test_run_sees_verdicts_and_what_widgets_hide():
    assert notebooks.attempt(notebooks.solved(lesson()), verdict="right") == []
    found = notebooks.attempt(lesson(offset=2), verdict="right")
    assert found == [
        "cell 1: the check of the exercise says 'todo', expected 'right'",
        "in a widget: ZeroDivisionError: division by zero",
    ]


def test_run_ends_with_a_table_and_store_refuses_a_failure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    good, bad = lesson(), made.notebook("print('before')", "assert 1 > 2")
    good.metadata.outputs_of = "another"
    notebooks.write(good, tmp_path / "01_good.ipynb")
    notebooks.write(bad, tmp_path / "02_bad.ipynb")
    assert notebooks.run(notebooks.find(), tmp_path / "build", timeout=60) == 1
    table = capsys.readouterr().out
    assert re.search(r"01_good +\d+\.\d  ok", table)
    assert re.search(r"02_bad +\d+\.\d  cell 1: AssertionError: assert 1 > 2", table)
    assert "before" in (tmp_path / "build" / "02_bad.html").read_text(encoding="utf-8")

    good.cells.append(
        made.code("1 + 1", outputs=[made.picture((255, 0, 0), (0, 0, 255))])
    )  # the code before drew a figure
    notebooks.write(good, tmp_path / "01_good.ipynb")
    assert notebooks.store(notebooks.find(["01", "02"]), timeout=60) == 1
    stored = notebooks.read(tmp_path / "01_good.ipynb")
    assert notebooks.lint(stored) == []
    assert "widgets" not in stored.metadata
    assert notebooks.read(tmp_path / "02_bad.ipynb").cells[0].outputs == []


def test_find_names_what_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    with pytest.raises(SystemExit, match="No notebook"):
        notebooks.find()
    notebooks.write(lesson(), tmp_path / "01_good.ipynb")
    assert [path.name for path in notebooks.find(["notebooks/01_good.ipynb"])] == ["01_good.ipynb"]
    with pytest.raises(SystemExit, match="01_good"):
        notebooks.find(["07"])


def test_tidy_keeps_outputs_and_drops_what_changes_from_run_to_run():
    sound = '<div>Bark</div><audio controls><source src="data:audio/wav;base64,AA"/></audio>'
    view = {notebooks.VIEW: {"model_id": "1"}, "text/plain": "interactive(...)"}
    notebook = made.notebook(
        made.code("play()", tags=["player"], outputs=[new_output("display_data", data={"text/html": sound})]),
        made.code("explore()", tags=["explorer"], outputs=[new_output("display_data", data=view)]),
        made.code("load()", outputs=[new_output("display_data", data=view), new_output("stream", text="loaded\n")]),
    )
    notebook.metadata.update(widgets={"state": {}}, jupytext={"formats": "ipynb,py"}, kernelspec={"name": "mine"})
    notebook.cells[0].metadata.execution = {"iopub.status.busy": "2026-01-01T00:00:00Z"}
    notebooks.tidy(notebook)
    player, explorer, loader = (cell.outputs for cell in notebook.cells)
    assert player[0].data["text/html"] == "<div>Bark</div><em>Run this cell to listen.</em>"
    assert explorer[0].data == {"text/plain": "Run this cell to move the sliders."}
    assert [one.output_type for one in loader] == ["stream"]
    assert set(notebook.metadata) == {"kernelspec", "language_info", "outputs_of"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.cells[0].metadata) == {"tags"}
    assert notebooks.lint(notebook) == []
    once = notebooks.text_of(notebook)
    assert notebooks.text_of(notebooks.tidy(notebook)) == once
    assert once.endswith("}\n")


def test_complain_reads_the_file(tmp_path, capsys, monkeypatch):
    path = tmp_path / "01_good.ipynb"
    notebooks.write(lesson(), path)
    assert notebooks.complain(path) == 0
    path.write_text(path.read_text(encoding="utf-8").replace("\n", "\n "), encoding="utf-8")
    monkeypatch.setattr(notebooks, "MOST_BYTES", 100)
    assert notebooks.complain(path) == 2
    printed = capsys.readouterr().out
    assert "not in normal form" in printed
    assert "the most is" in printed


def test_format_keeps_fresh_outputs_fresh_and_check_changes_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    path = tmp_path / "01_good.ipynb"
    notebooks.write(made.notebook("x=1"), path)
    before = path.read_bytes()
    assert notebooks.format_all(check=True) > 0
    assert path.read_bytes() == before
    assert notebooks.format_all(check=False) == 0
    assert notebooks.read(path).cells[0].source == "x = 1"
    assert notebooks.format_all(check=True) == 0
    path.write_text(path.read_text(encoding="utf-8").replace("x = 1", "x = 2"), encoding="utf-8")
    assert notebooks.format_all(check=True) == 1
    assert "not those of this code" in capfd.readouterr().out


def test_fingerprint_leaves_out_the_stamped_cell():
    notebook = made.notebook(made.code("tag = 1", tags=["setup"]), "x = 1")
    before = notebooks.fingerprint(notebook)
    notebook.cells[0].source = "tag = 2"
    assert notebooks.fingerprint(notebook) == before
    notebook.cells[1].source = "x = 2"
    assert notebooks.fingerprint(notebook) != before

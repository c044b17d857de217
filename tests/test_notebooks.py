"""Every notebook keeps the frame of the series, and the tools that run, store and format them do what they say."""

import re

import broken_notebooks as made
import pytest
from nbformat.v4 import new_markdown_cell, new_output

from helpers import exercises
from tools import notebooks

PATHS = sorted(notebooks.FOLDER.glob("[0-9]*.ipynb"))
every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def tagged(notebook, tag):
    return [cell for cell in notebooks.code_cells(notebook) if tag in notebooks.tags(cell)]


def prose(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


# --- the notebooks ---------------------------------------------------------------------------------------------------


def test_there_are_notebooks():
    assert PATHS


@every_notebook
def test_nothing_in_the_file_hides_a_failure(path, capsys):
    assert notebooks.complain(path) == 0, capsys.readouterr().out


@every_notebook
def test_length_is_that_of_a_lesson(path):
    assert 35 <= len(notebooks.read(path).cells) <= 60


@every_notebook
def test_starts_with_title_setup_and_session(path):
    notebook = notebooks.read(path)
    first, second = notebooks.code_cells(notebook)[:2]
    assert notebook.cells[0].cell_type == "markdown"
    assert "setup" in notebooks.tags(first)
    assert first.source == notebooks.code_cells(notebooks.read(PATHS[0]))[0].source
    assert "here = session.start()" in second.source


@pytest.mark.parametrize(
    ("said", "lesson", "printed"),
    [
        ("a third of all values lies on it", "05", "34% of all values lie on the floor"),
        ("a third of the test clips have another take", "05", "36% of the clips have another take"),
        (
            "by 6.3 points (91.6 and 85.3 %, means of five draws)",
            "05",
            "the neighbour is right in 91.6%, takes kept together 85.3%",
        ),
        ("In the stored run 85.0 to 96.2 %", "05", r"this run, fold 1, 80 clips: .*85\.0% to 96\.2%"),
        (
            "91.0 to 95.9 in place of 91.3 to 95.7 %",
            "05",
            r"clip by clip: 91\.3% to 95\.7%\n.*by recording: 91\.0% to 95\.9%",
        ),
        ("seeds scatter by 2.1 points", "05", r"stand-ins' seeds scatter by 2\.1 points"),
        ("96.3 % (94.6 to 97.7), for one model", "05", r"one model: 96\.3 % \(94\.6 to 97\.7\)"),
        ("96.3 % (94.6 to 97.7; five seeds, ± 0.4)", "05", r"one model: 96\.3 % \(94\.6 to 97\.7\)"),
        ("which had 84.5 % on the official folds", "04", r"linear probe, ViT, pretrained .* 84\.5%"),
        ("In the stored run of this lesson it has 87.8 %", "05", r"linear probe, official folds: 87\.8%"),
        ("5.8 points (3.0 to 8.8), for", "05", r"five folds, above a probe: \+5\.8 \(\+3\.0 to \+8\.8\) points"),
        ("beat a probe on the frozen one by 5.8 points (3.0 to 8.8)", "05", r"\+5\.8 \(\+3\.0 to \+8\.8\) points"),
        ("ViT's seeds scatter by 1.4 points", "05", r"recorded runs: seeds scatter by 1\.4 points"),
        ("two barks are called sneezes, with 95 and 94 %", "05", r"dog bark +person sneeze +95%.*\n.*sneeze +94%"),
        ("in 28 of 34 clips", "05", "right in 28 of 34"),
        ("stays 49.6 points behind, the ConvNet 18.7", "05", r"scratch +75\.8.*-18\.7(.*\n)+.*scratch +44\.0.*-49\.6"),
        ("stays behind, by 13 points and by 5.5", "05", r"-5\.5(.*\n)+.*-13\.2"),
        ("the ViT has 93.8 % then, as with", "05", r"each fold chooses[\s\S]*whole recipe +3 +93\.8"),
        ("enough for 66 %", "05", r"2 clips a class 66\.0 %"),
        ("their probe ends at 58.8 %", "05", r"random weights and 32 58\.8 %"),
        ("hold 48 % of the attention on patches before", "05", "on the four corners: before 48%, after 33%"),
        ("the corners hold 33 %. What they", "05", "on the four corners: before 48%, after 33%"),
        ("holds 42 % before, 58 after", "05", "half without them: before 42%, after 58%"),
        (
            "on the test folds it is 0.5 (-0.4 to 1.4)",
            "05",
            r"50 epochs above 25, five seeds: \+0\.5 \(-0\.4 to \+1\.4\) points",
        ),
        ("96.8, not told apart from one model", "05", r"above one seed, five seeds: \+0\.5 \(-0\.3 to \+1\.2\) points"),
        ("Three seeds of that averaged have 97.3 %", "05", r"three seeds averaged: 97\.3 % \(95\.5 to 98\.8\)"),
        ("the average has 96.8", "05", r"five seeds averaged: 96\.8 % \(95\.0 to 98\.3\)"),
        ("one has 94.0 %", "05", r"overlap, each seed: 96\.0 96\.3 96\.3 96\.3 94\.0"),
        ("the 95.7 % of people lies in its interval", "05", r"averaged: 95\.8 % \(93\.8% to 97\.4%\)"),
        ("39 points, not 49", "05", r"whole recipe, .* 49\.0 points\n.*timm's head, .* 39\.3 points"),
        ("(lesson 02's probe: 10)", "02", r"random - sum: -10\."),
        ("should have 1/42 of the head's rate", "05", "1/42 of the head's rate"),
        ("never reaches half of the recipe's rate", "05", "once an epoch: highest rate 46%"),
    ],
)
def test_what_lesson_05_says_of_its_stored_run_is_printed_there(said, lesson, printed):
    assert said in prose(notebooks.read(next(path for path in PATHS if path.name.startswith("05"))))
    outputs = [
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for path in PATHS
        if path.name.startswith(lesson)
        for cell in notebooks.code_cells(notebooks.read(path))
        for output in cell.outputs
    ]
    assert re.search(printed, "\n".join(outputs))


@every_notebook
def test_every_figure_has_a_caption_below(path):
    cells = notebooks.read(path).cells
    figures = [index for index, cell in enumerate(cells) if notebooks.pngs(cell.get("outputs", []))]
    assert len(figures) >= 3
    for index in figures:  # the sound of what is drawn may stand between a figure and its caption, nothing else
        below = next((cell for cell in cells[index + 1 :] if "player" not in notebooks.tags(cell)), None)
        assert below, f"cell {index}: nothing below its figure"
        assert re.search(r"^\*Figure:", below.source, re.MULTILINE), f"cell {index}: no line '*Figure: ...' below"


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
def test_has_three_exercises_with_hints_and_solution(path):
    notebook = notebooks.read(path)
    assert len(tagged(notebook, "exercise")) >= 3
    assert len(re.findall(r"<summary>\s*Hint", prose(notebook))) >= len(tagged(notebook, "exercise"))
    notebooks.solved(notebook)


@every_notebook
def test_links_lead_somewhere(path):
    text = prose(notebooks.read(path))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    for target in targets:
        if not re.match(r"https?://|#|mailto:|attachment:", target):
            assert (path.parent / target.split("#")[0]).exists(), target
    place = PATHS.index(path)
    for neighbour in PATHS[max(place - 1, 0) : place + 2]:
        assert neighbour == path or f"({neighbour.name}" in text, f"no link to {neighbour.name}"


@pytest.mark.solved
@every_notebook
def test_solved_twin_runs_to_its_end_with_every_exercise_right(path):
    assert not notebooks.attempt(notebooks.solved(notebooks.read(path)), name=path.stem, timeout=600, verdict="right")


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

"""Every notebook keeps the frame of the series, and the tools that run, store and format them do what they say."""

import math
import re
import time

import broken_notebooks as made
import pytest
from nbformat.v4 import new_markdown_cell, new_output

from helpers import exercises
from tools import notebooks, stamp

PATHS = notebooks.find()
ROAD = [path for path in PATHS if notebooks.kind(path) == "road"]
DEEPER = [path for path in PATHS if notebooks.kind(path) == "deeper"]
every_notebook = pytest.mark.parametrize("path", PATHS, ids=notebooks.title)
every_lesson = pytest.mark.parametrize("path", ROAD, ids=notebooks.title)


def tagged(notebook, tag):
    return [cell for cell in notebooks.code_cells(notebook) if tag in notebooks.tags(cell)]


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def linked(path):
    """The text with links as they are in a copy without a public address: relative."""
    name = path.relative_to(notebooks.FOLDER).as_posix()
    return stamp.links(prose(notebooks.read(path)), name, dict.fromkeys(stamp.ADDRESS, ""))


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
    text = linked(path)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    for target in targets:
        if not re.match(r"https?://|#|mailto:|attachment:", target):
            assert (path.parent / target.split("#")[0]).exists(), target
    place = ROAD.index(path) if path in ROAD else -2
    for neighbour in ROAD[max(place - 1, 0) : place + 2] if path in ROAD else []:
        assert neighbour == path or f"({neighbour.name}" in text, f"no link to {neighbour.name}"


def test_road_and_deeper_lead_to_each_other():
    links = {path: linked(path) for path in PATHS}
    for deeper in DEEPER:
        assert any(f"(deeper/{deeper.name}" in links[lesson] for lesson in ROAD), f"nothing leads to {deeper.name}"
        assert any(f"(../{lesson.name}" in links[deeper] for lesson in ROAD), f"nothing leads back from {deeper.name}"


# --- the tools -------------------------------------------------------------------------------------------------------

CHECK = """
class exercise:
    def check_double(answer):
        word = 'Right' if answer(2) == 4 else 'Not yet'
        word = 'Not attempted' if answer(1) is ... else word
        return type('Verdict', (), {'__repr__': lambda self: f'{word}. So it is.'})()
"""
LESSON = made.notebook(
    new_markdown_cell("# 01 · Twice\n\n| 4 minutes |\n\n### Exercise 1.1: double\n> difficulty 1 of 5 · 2 minutes"),
    CHECK,
    made.code(made.STUB, tags=["exercise"], outputs=[made.said("Not attempted. So it is.")]),
    new_markdown_cell("<details><summary>Hint: none</summary>None.</details>"),
    new_markdown_cell(made.FOLDED),
    "from ipywidgets import interact\n@interact(n=(1, 5))\ndef f(n=2):\n    print(1 / (n - offset))",
)


def lesson(**changes):
    """LESSON as a fresh copy; `offset` decides whether its slider fails at the start."""
    notebook = made.notebook(*[cell.copy() for cell in LESSON.cells])
    notebook.cells[1].source += f"offset = {changes.get('offset', 0)}"
    notebook.metadata.outputs_of = notebooks.fingerprint(notebook)
    return notebook


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of notebooks, in which a lesson of the road may be short."""
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    monkeypatch.setitem(notebooks.RANGES, "road", {})
    return tmp_path


def test_headlines_are_those_of_the_exercises():
    assert {word: outcome for outcome, word in exercises.HEADLINES.items()} == notebooks.HEADLINES


def test_solved_twin_takes_the_folded_solution():
    twin = notebooks.solved(lesson())
    assert twin.cells[2].source == "def double(x):\n    return 2 * x\n\nexercise.check_double(double)"
    with pytest.raises(ValueError, match="no folded solution"):
        notebooks.solved(made.notebook(made.code(made.STUB, tags=["exercise"])))
    with pytest.raises(ValueError, match="must end with"):
        notebooks.solved(made.notebook(made.code("double = ...", tags=["exercise"]), new_markdown_cell(made.FOLDED)))


def test_run_sees_verdicts_and_what_widgets_hide():
    assert notebooks.attempt(notebooks.solved(lesson()), verdict="right") == []
    found = notebooks.attempt(lesson(offset=2), verdict="right")
    assert found == [
        "cell 2: the check of the exercise says 'todo', expected 'right'",
        "in a widget: ZeroDivisionError: division by zero",
    ]


def test_run_ends_with_a_table_and_store_refuses_a_failure(folder, capsys):
    good, bad = lesson(), made.notebook("print('before')", "assert 1 > 2")
    good.metadata.outputs_of = "another"
    notebooks.write(good, folder / "01_good.ipynb")
    notebooks.write(bad, folder / "deeper" / "01_bad.ipynb")
    assert notebooks.run(notebooks.find(), folder / "build", timeout=60) == 1
    table = capsys.readouterr().out
    assert re.search(r"01_good +\d+\.\d  ok", table)
    assert re.search(r"deeper/01_bad +\d+\.\d  cell 1: AssertionError: assert 1 > 2", table)
    assert "before" in (folder / "build" / "deeper" / "01_bad.html").read_text(encoding="utf-8")

    drawn = made.code("1 + 1", outputs=[made.TWO_COLOURS])  # the code before drew a figure
    good.cells.append(drawn)
    notebooks.write(good, folder / "01_good.ipynb")
    assert notebooks.store(notebooks.find(["01", "deeper/01"]), timeout=60) == 1
    stored = notebooks.read(folder / "01_good.ipynb")
    assert notebooks.lint(stored) == []
    assert "widgets" not in stored.metadata
    assert notebooks.read(folder / "deeper" / "01_bad.ipynb").cells[0].outputs == []


def test_a_long_line_is_kept_in_no_time_and_a_progress_bar_by_its_last_state():
    notebook = made.notebook("print('x' * 400_000)", "for n in range(3):\n    print(n, end='\\r')\nprint('done')")
    start = time.monotonic()
    assert notebooks.attempt(notebook) == []
    assert time.monotonic() - start < 30
    assert [len(cell.outputs) for cell in notebook.cells] == [1, 1]
    assert len(notebook.cells[0].outputs[0].text) == 400_001
    assert notebook.cells[1].outputs[0].text == "done\n"


def test_pages_link_to_pages(folder):
    lesson = made.notebook(new_markdown_cell("[there](deeper/01_why.ipynb#how), [data](data.ipynb)"), "1")
    notebooks.write(lesson, folder / "01_good.ipynb")
    notebooks.run(notebooks.find(), folder / "build", timeout=60)
    page = (folder / "build" / "01_good.html").read_text(encoding="utf-8")
    assert 'href="deeper/01_why.html#how"' in page
    assert 'href="data.ipynb"' in page


def test_find_names_what_there_is(folder):
    with pytest.raises(SystemExit, match="No notebook"):
        notebooks.find()
    for name in ("deeper/01_why", "02_next", "01_good", "drafts/idea", ".ipynb_checkpoints/01_good-checkpoint"):
        notebooks.write(lesson(), folder / f"{name}.ipynb")
    found = {name: [notebooks.title(path) for path in notebooks.find([name])] for name in ("01", "deeper/", "drafts")}
    assert found == {"01": ["01_good"], "deeper/": ["deeper/01_why"], "drafts": ["drafts/idea"]}
    assert [notebooks.title(path) for path in notebooks.find()] == [
        "01_good",
        "02_next",
        "deeper/01_why",
        "drafts/idea",
    ]
    for name in ("notebooks/01_good.ipynb", "./notebooks/01_good.ipynb", "01_good.ipynb"):
        assert notebooks.find([name]) == [folder / "01_good.ipynb"]
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
    assert explorer[0].data == {"text/plain": "Run this cell to try it."}
    assert [one.output_type for one in loader] == ["stream"]
    assert set(notebook.metadata) == {"accelerator", "colab", "kernelspec", "language_info", "outputs_of"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert (notebook.metadata.accelerator, notebook.metadata.colab) == ("GPU", {"gpuType": "T4"})
    assert set(notebook.cells[0].metadata) == {"tags"}
    assert notebooks.lint(notebook) == []
    once = notebooks.text_of(notebook)
    assert notebooks.text_of(notebooks.tidy(notebook)) == once
    assert once.endswith("}\n")


def test_tidy_folds_setup_and_imports_in_three_ways():
    notebook = made.notebook(made.code("# @title Imports\nimport sys", tags=["imports"]), "1")
    folded, plain = notebook.cells
    assert folded.metadata == {
        "tags": ["imports", "hide-input"],
        "cellView": "form",
        "jupyter": {"source_hidden": True},
    }
    assert plain.metadata == {}
    once = notebooks.text_of(notebook)
    assert notebooks.text_of(notebooks.tidy(notebook)) == once


def test_tidy_writes_the_description_where_pages_look_for_it():
    notebook = made.notebook(made.code("draw()", outputs=[made.TWO_COLOURS]))
    assert notebook.cells[0].outputs[0].metadata == {"image/png": {"alt": made.ALT}}


def test_a_slider_is_an_output_where_a_page_keeps_a_sentence_in_its_place():
    stored = new_output("display_data", data={"text/plain": "Run this cell to try it."})
    slider = new_output("display_data", data={notebooks.VIEW: {"model_id": "1"}, "text/plain": "interactive(...)"})
    cell = made.code("explore()", tags=["explorer"], outputs=[stored])
    assert notebooks.output_problems(cell, [slider]) == []
    assert notebooks.output_problems(cell, []) == ["no output, the stored run has one"]


def test_complain_reads_the_file(folder, capsys, monkeypatch):
    path = folder / "01_good.ipynb"
    notebooks.write(lesson(), path)
    assert notebooks.complain(path) == 0, capsys.readouterr().out
    path.write_text(path.read_text(encoding="utf-8").replace("\n", "\n "), encoding="utf-8")
    monkeypatch.setattr(notebooks, "MOST_BYTES", 100)
    assert notebooks.complain(path) == 2
    printed = capsys.readouterr().out
    assert "01_good: not in normal form" in printed
    assert "the most is" in printed


def test_format_keeps_fresh_outputs_fresh_and_check_changes_nothing(folder, capfd):
    path = folder / "01_good.ipynb"
    notebooks.write(made.notebook(new_markdown_cell("| 1 minutes |"), "x=1"), path)
    before = path.read_bytes()
    assert notebooks.format_all(check=True) > 0
    assert path.read_bytes() == before
    assert notebooks.format_all(check=False) == 0
    assert notebooks.read(path).cells[1].source == "x = 1"
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


# --- how long a lesson is ---------------------------------------------------------------------------------------------

READ = """
# 01 · A title of *seven* words, [linked](../where/nobody/counts.ipynb)
| 9 minutes |

**Before you run:** is it (a) one, (b) two, (c) three? Why?

### Exercise 1.1: double
> difficulty 1 of 5 · 7 minutes

<details><summary>Solution</summary>folded words, none of which counts</details>

```python
neither = "this"
```
"""


def made_to_measure():
    sources = ["x = 1\n\ny = 2", *["z = 3"] * 8, "\n".join(["z = 3"] * 12)]
    return made.notebook(
        new_markdown_cell(READ.strip()),
        made.code("# @title Set-up\nlong = 1", tags=["setup"]),
        *sources,
        made.code("draw()", outputs=[made.TWO_COLOURS, made.TWO_COLOURS]),
        made.code(made.STUB, tags=["exercise"], outputs=[made.said("Not attempted.")]),
    )


def test_measure_counts_what_one_reads_and_types():
    size = notebooks.measure(made_to_measure())
    text = "01 A title of seven words linked 9 minutes Before you run is it a one b two c three Why"
    text += " Exercise 1.1 double difficulty 1 of 5 7 minutes"
    lines = 3 + 8 + 12 + 1 + 4
    assert size == notebooks.Size(
        cells=14,
        words=len(text.split()),
        code_lines=lines,
        lines=(1, 4, 12),  # of twelve cells: the sixth, the eleventh, the last
        figures=1,  # a cell that draws is one
        exercises=1,
        predictions=1,
        minutes=math.ceil(len(text.split()) / 150 + 0.08 * lines + 0.7 + 7),
    )


def test_measure_of_next_to_nothing():
    assert notebooks.measure(made.notebook(new_markdown_cell(""))) == notebooks.Size(1, 0, 0, (0, 0, 0), 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("00_tour", "tour"),
        ("01_spectrograms", "road"),
        ("deeper/01_front_ends", "deeper"),
        ("another/draft", "road"),
    ],
)
def test_the_place_of_a_notebook_says_what_it_may_be(folder, name, kind):
    assert notebooks.kind(folder / f"{name}.ipynb") == kind


def test_budgets_hold_ceilings_ranges_and_what_is_stated(folder, monkeypatch):
    path = folder / "01_good.ipynb"
    notebook = made_to_measure()
    minutes = notebooks.measure(notebook).minutes
    assert notebooks.budget_problems(notebook, path) == [f"the title cell states 9 minutes, measured are {minutes}"]
    notebook.cells[0].source = notebook.cells[0].source.replace("9 minutes", f"{minutes} minutes")
    assert notebooks.budget_problems(notebook, path) == []
    monkeypatch.setitem(notebooks.BUDGETS, "road", {"lines": (1, 3, 12), "code_lines": 27, "words": 100})
    monkeypatch.setitem(notebooks.RANGES, "road", {"figures": (2, 3), "cells": (1, 13), "exercises": (1, 1)})
    assert notebooks.budget_problems(notebook, path) == [
        "lines (1, 4, 12), the most is (1, 3, 12)",
        "code_lines 28, the most is 27",
        "figures 1, from 2 to 3 are expected",
        "cells 14, from 1 to 13 are expected",
    ]
    monkeypatch.setitem(notebooks.LONGER, "01_good", {"lines": (1, 4, 12), "code_lines": 28})
    assert len(notebooks.budget_problems(notebook, path)) == 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("(b) two, (c) three", "(b) two", "a prediction without (a), (b), (c)"),
        ("7 minutes", "easy", "each exercise needs a title"),
        ("### Exercise", "Exercise", "each exercise needs a title"),
        ("9 minutes", "soon", "the title cell states"),
    ],
)
def test_budgets_need_what_they_count(folder, old, new, said):
    notebook = made_to_measure()
    assert old in notebook.cells[0].source
    notebook.cells[0].source = notebook.cells[0].source.replace(old, new)
    assert any(said in one for one in notebooks.budget_problems(notebook, folder / "01_good.ipynb"))


def test_budgets_are_reachable_and_every_kind_has_them():
    assert set(notebooks.BUDGETS) == set(notebooks.RANGES) == {"road", "deeper", "tour"}
    for kind in notebooks.BUDGETS:
        names = set(notebooks.BUDGETS[kind]) | set(notebooks.RANGES[kind])
        assert names <= set(notebooks.Size.__annotations__)
        assert all(least <= most for least, most in notebooks.RANGES[kind].values())


def test_sizes_are_printed_a_line_a_notebook(folder, capsys):
    notebooks.write(made_to_measure(), folder / "deeper" / "01_why.ipynb")
    notebooks.print_sizes(notebooks.find())
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["notebook", "cells", "words", "code"]
    assert line.split()[:2] == ["deeper/01_why", "14"]
    assert "1 · 4 · 12" in line

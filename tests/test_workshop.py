"""What a class gets: students' notebooks hold no solution, instructors' are right, slides show pictures, the stick starts."""

import base64
import io
import json
import re
import shutil
import subprocess
import zipfile

import broken_notebooks as made
import pytest
from nbformat.v4 import new_markdown_cell
from PIL import Image
from test_notebooks import CHECK, KNOWN, said_by

from tools import notebooks, setup, stamp, start, workshop

PATHS = notebooks.find()
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
RED = (255, 0, 0)


@pytest.fixture(scope="module")
def no_reveal():
    """Why there can be no slides: reveal.js was never fetched, and there is no network; "" where there is nothing amiss."""
    try:
        return "" if workshop.reveal("dist/reveal.js") else "it is empty"
    except OSError as error:
        return str(error)


def red_picture():
    """A PNG as a cell's output: red, with a white corner."""
    image, file = Image.new("RGB", (400, 200), RED), io.BytesIO()
    image.putpixel((0, 0), (255, 255, 255))
    image.save(file, "PNG")
    return made.new_output("display_data", data={"image/png": base64.b64encode(file.getvalue()).decode()})


# --- students and instructors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS, ids=notebooks.title)
def test_a_student_notebook_keeps_the_hints_and_holds_no_solution(path):
    notebook = notebooks.read(path)
    twin = workshop.student(notebook)
    assert not any(cell.outputs or cell.execution_count for cell in notebooks.code_cells(twin))
    code = [[cell.source for cell in notebooks.code_cells(one)] for one in (notebook, twin)]
    assert code[0] == code[1]  # so it runs to its end, if the notebook does: nbval runs every one
    before, after = ("\n".join(cell.source for cell in one.cells) for one in (notebook, twin))
    assert len(re.findall(r"<summary>\s*Hint", after)) == len(re.findall(r"<summary>\s*Hint", before))
    assert not re.search(r"<summary>\s*Solution", after)
    elsewhere = notebooks.SOLUTION.sub("", before)  # a lesson may go on by doing what was asked for
    lines = {line.strip() for found in notebooks.SOLUTION.findall(before) for line in found.splitlines()}
    secret = {line for line in lines if line not in elsewhere}
    assert secret
    assert not [line for line in secret if line in after]


# --- all of it, from one small lesson --------------------------------------------------------------------------------

LESSON = made.notebook(
    new_markdown_cell(
        f"# 00 · Twice\n\n![badge](https://elsewhere.org/badge.svg){stamp.MARK}", metadata={"tags": ["slide"]}
    ),
    CHECK,
    made.code(made.STUB, tags=["exercise"], outputs=[made.said("Not attempted. So it is.")]),
    new_markdown_cell("<details><summary>Hint: none</summary>None.</details>"),
    new_markdown_cell(made.FOLDED),
    new_markdown_cell("[Before](01_more.ipynb)\n\n## A red thing\n\n**Vote:** which?", metadata={"tags": ["slide"]}),
    made.code(
        "from IPython.display import HTML, display\nfrom PIL import Image\nred = Image.new('RGB', (400, 200), 'red')\n"
        "red.putpixel((0, 0), (255, 255, 255))\ndisplay(red, HTML('<audio src=\"data:audio/wav;base64,AA\"></audio>'))",
        tags=["player", "slide"],
        outputs=[red_picture()],
    ),
)


def test_code_is_shown_beside_its_text_but_not_beside_an_exercise():
    shown = {"tags": ["slide"], "outputs": [made.said("so")]}
    lesson = made.notebook(
        new_markdown_cell(
            "Why?\n\n## Because\n\n[there](01_more.ipynb), [far](https://a.org)", metadata={"tags": ["slide"]}
        ),
        made.code("1", **shown),
        made.code("2", **shown),
        "not shown",
        made.code(made.STUB, tags=["exercise"]),
        made.code("3", **shown),
    )
    cells = workshop.deck([lesson]).cells
    types = [(cell.source, cell.metadata.slideshow.slide_type) for cell in cells]
    assert types == [
        ("Why?", "slide"),
        ("## Because\n\nthere, [far](https://a.org)", "slide"),
        ("1", "fragment"),
        ("2", "-"),
        ("3", "slide"),
    ]


@pytest.fixture
def built(tmp_path, monkeypatch, no_reveal):
    """Everything built from LESSON; its slides come from the run, with sound."""
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / "notebooks")
    monkeypatch.setenv("AUDIO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("VISION_WEIGHTS", str(tmp_path / "weights"))
    for file in ("data/esc10/001/dog.ogg", "weights/vit_tiny_patch16_224.augreg_in21k_ft_in1k.safetensors"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_bytes(b"sound or weights")
    notebooks.write(LESSON, tmp_path / "notebooks" / "00_twice.ipynb")
    assert workshop.build(notebooks.find(), tmp_path / "out", timeout=60) == bool(no_reveal)
    return tmp_path / "out"


def test_the_kit(built, tmp_path, no_reveal):
    instructor = notebooks.read(built / "instructor" / "00_twice.ipynb")
    assert "For the person in front" in instructor.cells[1].source
    (exercise,) = [cell for cell in instructor.cells if "exercise" in notebooks.tags(cell)]
    assert notebooks.verdict_of(exercise.outputs) == "right"
    student = notebooks.read(built / "student" / "00_twice.ipynb")
    assert notebooks.attempt(student, timeout=60, verdict="todo") == []

    with zipfile.ZipFile(built / f"{workshop.STICK}_stick.zip") as stick:
        stick.extractall(tmp_path / "stick")
    copy = tmp_path / "stick" / workshop.STICK
    assert (copy / "notebooks" / "00_twice.ipynb").read_text(encoding="utf-8") == (
        built / "student" / "00_twice.ipynb"
    ).read_text(encoding="utf-8")
    assert (copy / "data" / "esc10" / "001" / "dog.ogg").read_bytes() == b"sound or weights"
    assert [file.name[:8] for file in (copy / "weights").iterdir()] == ["vit_tiny"]
    assert "the weights of mobilenetv2_100" in (copy / "START.md").read_text(encoding="utf-8")
    assert not (copy / "tests").exists()
    needed = ["helpers/nano", "helpers/spoken_digits", "experiments/esc10.csv", "tools/setup.py", "tools/wheels.txt"]
    needed += ["pyproject.toml", "constraints.txt", "LICENSE", "NOTICE", "README.md", "helpers/esc10_manifest.csv"]
    assert not [place for place in needed if not (copy / place).exists()]

    if no_reveal:
        pytest.skip(no_reveal)
    page = (built / "slides.html").read_text(encoding="utf-8")
    assert (
        page.count("<section") == 2 * 3
    )  # the title, what stands before the heading, and the heading: each in a stack
    assert "data:audio/wav" in page
    loaded = re.findall(
        r"""<(?!a\b)\w+\b[^>]*?\b(?:src|href)=["']?(?!data:|#)([^"' >]+)""",
        re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL),
    )
    assert loaded == []
    assert not re.search(
        r"@import|url\(['\"]?https?:|MathJax|require\(", re.sub(r"/\*.*?\*/", "", page, flags=re.DOTALL)
    )

    if not BROWSER:
        pytest.skip("no browser here to open the slides in: install Chromium")
    shares = {}
    for place in ("2", "2/0/0"):  # the vote; what the code shows, at the next key
        shot = tmp_path / "shot.png"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,760"]
        flags += ["--virtual-time-budget=2000", f"--screenshot={shot}", f"{(built / 'slides.html').as_uri()}#/{place}"]
        subprocess.run([BROWSER, *flags], check=True, capture_output=True, timeout=300)
        colours = Image.open(shot).convert("RGB").getcolors(2**20)
        shares[place] = {colour: count for count, colour in colours}.get(RED, 0) / (1280 * 760)
    assert shares["2"] == 0
    assert 0.1 < shares["2/0/0"] < 0.5


def test_an_instructor_notebook_that_fails_is_named_and_not_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    wrong = LESSON.copy()
    wrong.cells = [*LESSON.cells[:4], new_markdown_cell(made.FOLDED.replace("2 * x", "3 * x"))]
    notebooks.write(wrong, tmp_path / "01_wrong.ipynb")
    monkeypatch.setattr(workshop, "write_stick", lambda students, target: target.write_bytes(b"") and [])
    monkeypatch.setattr(workshop, "page", lambda *_: "")
    assert workshop.build(notebooks.find(), tmp_path / "out", timeout=60) == 1
    assert "expected 'right'" in capsys.readouterr().out
    assert not (tmp_path / "out" / "instructor").exists()


# --- the start without a network -------------------------------------------------------------------------------------


def test_start_uses_what_lies_beside_it(tmp_path, monkeypatch):
    folder, commands = tmp_path / "a stick", []
    for name in ("data", "wheels", "notebooks"):
        (folder / name).mkdir(parents=True)
    for name in ("01_next.ipynb", "00_tour.ipynb"):
        (folder / "notebooks" / name).write_text("")
    for variable in ("AUDIO_DATA", "VISION_WEIGHTS", "PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    monkeypatch.setattr(setup, "ROOT", folder)
    monkeypatch.setattr(setup, "main", lambda: commands.append("set up"))
    monkeypatch.setattr(
        start.subprocess,
        "run",
        lambda command, **_: commands.append(command) or subprocess.CompletedProcess(command, 0),
    )
    assert start.main() == 0
    assert start.os.environ["AUDIO_DATA"] == str(folder / "data")
    assert "VISION_WEIGHTS" not in start.os.environ
    assert start.os.environ["PIP_FIND_LINKS"].endswith("/a%20stick/wheels")
    assert commands == [
        "set up",
        [str(setup.python(folder / ".venv")), "-m", "jupyterlab", str(folder / "notebooks" / "00_tour.ipynb")],
    ]


# --- WORKSHOP.md -----------------------------------------------------------------------------------------------------

GUIDE = (workshop.ROOT / "WORKSHOP.md").read_text(encoding="utf-8")


def quoted():
    """(number, unit, text of the paragraph, names of the notebooks whose outputs must hold it) of every share and difference."""
    for section in re.split(r"^(?=#)", GUIDE, flags=re.MULTILINE):
        numbered = re.match(r"### (\d\d) ", section)
        for paragraph in re.split(r"\n\s*\n|\n(?=- )", section):
            names = re.findall(r"\(notebooks/([^)#]+)\.ipynb", paragraph) or ([numbered[1]] if numbered else [])
            if "](http" not in paragraph:
                for number, unit in re.findall(r"(?<![\d.])(\d+(?:\.\d+)?)\s?(%|points)", paragraph):
                    yield number, unit, paragraph, names


def test_a_number_in_the_guide_is_printed_by_the_notebook_that_it_names():
    found = list(quoted())
    assert len(found) >= 15
    for number, unit, paragraph, names in found:
        assert names, f"{number} {unit} names no notebook: {paragraph}"
        printed = "\n".join(said_by(notebooks.read(path)) for path in notebooks.find(names))
        numbers = [float(one) for one in re.findall(r"\d+(?:\.\d+)?", printed)]
        digits = len(number.partition(".")[2])
        told = any(round(one, digits) == float(number) for one in numbers) or f"{number} {unit}" in KNOWN
        assert told, f"{number} {unit} is printed nowhere in {names}: {paragraph}"


def test_the_guide_has_notes_for_every_notebook_of_the_road_and_fifteen_questions():
    for path in PATHS:
        assert bool(workshop.notes_on(path)) == (notebooks.kind(path) != "deeper"), path
    assert re.findall(r"^\*\*(\d+)\. ", GUIDE, re.MULTILINE) == [str(n) for n in range(1, 16)]


def test_exercises_and_votes_in_the_guide_exist():
    text = {
        path.name[:2]: json.dumps([cell.source for cell in notebooks.read(path).cells])
        for path in PATHS
        if notebooks.kind(path) != "deeper"
    }
    for number in re.findall(r"[Ee]xercises? (\d\.\d)|(?:and|or\*) (\d\.\d)", GUIDE):
        name = max(number)
        assert f"### Exercise {name}:" in text[f"0{name[0]}"], name

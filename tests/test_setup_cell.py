"""The first cell of every notebook, run as a script: with a stand-in for Colab, a local remote and a stand-in for pip."""

import os
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import broken_notebooks as made
import nbformat
import packaging
import pytest

from helpers import TIMM
from tools import notebooks, stamp

PROJECT = Path(__file__).resolve().parents[1]
ADDRESS = {"owner": "someone", "repo": "sounds", "tag": "2026.11"}
NOWHERE = dict.fromkeys(ADDRESS, "")
PIP = """
import os, pathlib, sys
pathlib.Path("{log}").open("a").write(" ".join(sys.argv[1:]) + "\\n")
if os.environ["PIP_EXIT"] == "0":
    name, wanted = sys.argv[-1].split("==")
    for info in pathlib.Path(__file__).parents[1].glob(name + "-*"):
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: {{name}}\\nVersion: {{wanted}}\\n")
sys.exit(int(os.environ["PIP_EXIT"]))
"""


def git(*arguments, cwd):
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "tag.gpgSign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True)


def code_of_the_series(folder):
    """What the cell looks for, with the project's own first file of `helpers`."""
    (folder / "helpers" / "nano").mkdir(parents=True)
    (folder / "helpers" / "nano" / "README.md").write_text("weights")
    (folder / "helpers" / "__init__.py").write_text((PROJECT / "helpers" / "__init__.py").read_text())
    (folder / "helpers" / "session.py").write_text("")


@pytest.fixture
def machine(tmp_path):
    """A machine without this project: GitHub is a folder on this disk, timm and pip are stand-ins."""
    remote = tmp_path / "github" / "someone" / "sounds.git"
    code_of_the_series(remote)
    git("init", "-q", cwd=remote)
    git("add", ".", cwd=remote)
    git("commit", "-q", "-m", "all of it", "--no-gpg-sign", cwd=remote)
    git("tag", "2026.11", cwd=remote)
    (tmp_path / "content").mkdir()
    standins, log = tmp_path / "standins", tmp_path / "pip.log"
    (standins / "pip").mkdir(parents=True)
    (standins / "timm-0.dist-info").mkdir()
    (standins / "pip" / "__init__.py").write_text("")
    (standins / "pip" / "__main__.py").write_text(PIP.format(log=log.as_posix()))
    # packaging, and nothing else of the environment: an installed project would be found
    (standins / "packaging").symlink_to(Path(packaging.__file__).parent)

    def run(
        address=ADDRESS,
        *,
        timm="1.0.31",
        times=1,
        pip_exit=0,
        before="",
        cwd=tmp_path / "content",
        colab=True,
    ):
        metadata = f"Metadata-Version: 2.1\nName: timm\nVersion: {timm}\n"
        (standins / "timm-0.dist-info" / "METADATA").write_text(metadata)
        cell = stamp.setup_cell(address)
        fake = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')\n" * colab
        after = "\nfrom helpers import session\nfrom importlib.metadata import version\nprint(session.__file__)"
        environment = os.environ | {
            "PYTHONPATH": str(standins),
            "PIP_EXIT": str(pip_exit),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{(tmp_path / 'github').as_uri()}/.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://github.com/",
        }
        return subprocess.run(
            [sys.executable, "-S", "-c", fake + before + "\n" + (cell + "\n") * times + after],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
        )

    clone = tmp_path / "content" / "sounds-2026.11"
    return types.SimpleNamespace(run=run, remote=remote, clone=clone, log=log, folder=tmp_path)


def found(done):
    """Folder of the code that the cell has found; nothing was said."""
    assert (done.returncode, done.stderr) == (0, "")
    return Path(done.stdout.strip()).resolve().parents[1]


def sentence(done):
    """What the cell stopped with."""
    assert done.returncode != 0
    return done.stderr.split("Error: ")[-1]


@pytest.mark.parametrize("address", [ADDRESS, NOWHERE])
def test_the_cell_is_short_enough_to_be_folded_and_in_form(address):
    cell = stamp.setup_cell(address)
    assert len(cell.splitlines()) <= notebooks.MOST_FOLDED_LINES == 10
    assert notebooks.code_problems(made.code(cell, tags=["setup"])) == []
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["format", "--check"], ["check", "--quiet"]):
        name = "--stdin-filename=notebooks/cell.py"
        done = subprocess.run(
            [*ruff, *command, name, "-"], cwd=PROJECT, input=cell + "\n", capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("colab", [True, False])
def test_a_good_tag_is_cloned_and_imported_and_nothing_is_said(machine, colab):
    assert found(machine.run(colab=colab)) == machine.clone
    assert [path.name for path in (machine.folder / "content").iterdir()] == ["sounds-2026.11"]
    assert not machine.log.exists()


def test_a_second_run_and_a_restart_need_no_network(machine):
    assert found(machine.run(times=2)) == machine.clone
    machine.remote.rename(machine.remote.with_name("gone.git"))
    assert found(machine.run(times=2)) == machine.clone


def test_a_missing_tag_is_said_in_a_sentence_and_can_be_tried_again(machine):
    git("tag", "-d", "2026.11", cwd=machine.remote)
    said = sentence(machine.run())
    assert said.startswith("The series cannot be fetched: ")
    assert "Remote branch 2026.11 not found" in said
    assert not any((machine.folder / "content").iterdir())
    git("tag", "2026.11", cwd=machine.remote)
    assert found(machine.run()) == machine.clone


@pytest.mark.parametrize("left", ["sounds-2026.11.1732900000000000000", "sounds-2026.11"])
def test_what_a_broken_try_has_left_is_not_used(machine, left):
    (machine.folder / "content" / left).mkdir()
    if left != machine.clone.name:
        code_of_the_series(machine.folder / "content" / left)
    assert found(machine.run()) == machine.clone
    assert (machine.clone / "helpers" / "nano" / "README.md").exists()


@pytest.mark.parametrize("older", ["1.0.28", "1.0.9", "0.9.16"])
def test_colab_gets_the_timm_that_is_needed_and_nothing_else(machine, older):
    assert found(machine.run(timm=older, times=2)) == machine.clone
    assert machine.log.read_text() == f"install -q --no-deps timm=={TIMM}\n"


@pytest.mark.parametrize("newer", ["1.0.31", "1.0.32", "1.1.0", "2.0"])
def test_a_newer_timm_is_left_alone(machine, newer):
    assert found(machine.run(timm=newer)) == machine.clone
    assert not machine.log.exists()


def test_no_other_machine_is_changed(machine):
    assert found(machine.run(timm="1.0.28", colab=False)) == machine.clone
    assert not machine.log.exists()


def test_a_failed_install_is_left_to_the_session_to_say(machine):
    """`session.start` names a package that is out of range: tests/test_session.py."""
    assert found(machine.run(timm="1.0.28", pip_exit=1)) == machine.clone


def test_the_timm_for_colab_is_the_least_that_the_project_takes():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"timm>={TIMM}" in project["dependencies"]


@pytest.mark.parametrize("folder", [".", "notebooks", "notebooks/deeper"])
@pytest.mark.parametrize("address", [ADDRESS, NOWHERE])
def test_the_project_around_a_notebook_comes_first(machine, folder, address):
    project = machine.folder / "my project"
    code_of_the_series(project)
    (project / "notebooks" / "deeper").mkdir(parents=True)
    other = machine.folder / "other"
    code_of_the_series(other)
    before = f"sys.path.append({str(other)!r})"
    assert found(machine.run(address, cwd=project / folder, colab=False, before="import sys\n" + before)) == project


@pytest.mark.parametrize("address", [ADDRESS, NOWHERE])
def test_an_importable_project_is_used_where_there_is_none_around(machine, address):
    code_of_the_series(machine.folder / "hub")
    before = f"import sys\nsys.path.append({str(machine.folder / 'hub')!r})"
    assert found(machine.run(address, before=before)) == machine.folder / "hub"
    assert not any((machine.folder / "content").iterdir())


def someone_elses(machine, kind):
    """Another `helpers` where the notebook lies: a folder without code, a module, or a package."""
    here = machine.folder / "content"
    if kind == "module":
        (here / "helpers.py").write_text("")
    else:
        (here / "helpers").mkdir()
        (here / "helpers" / "more.py").write_text("")
    if kind == "package":
        (here / "helpers" / "__init__.py").write_text("")


@pytest.mark.parametrize("kind", ["folder", "module", "package"])
def test_another_helpers_does_not_stand_in_for_ours(machine, kind):
    someone_elses(machine, kind)
    assert found(machine.run()) == machine.clone
    assert sentence(machine.run(NOWHERE)) == "Open this notebook inside the project, then restart.\n"


@pytest.mark.parametrize("colab", [True, False])
def test_without_an_address_the_cell_says_what_to_do(machine, colab):
    assert sentence(machine.run(NOWHERE, colab=colab)) == "Open this notebook inside the project, then restart.\n"
    assert not any((machine.folder / "content").iterdir())


# --- stamping ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    """A project with one lesson that nobody has stamped."""
    cells = [
        nbformat.v4.new_markdown_cell("# 02 Patches\n\n[why](deeper/02_channels.ipynb#sum)", id="title"),
        nbformat.v4.new_code_cell("import sys", id="setup", metadata={"tags": ["setup"]}),
        nbformat.v4.new_code_cell("1 + 1", id="sum"),
        nbformat.v4.new_markdown_cell(
            "[back](../02_patches.ipynb), [next](03.ipynb), [ESC](https://esc.org)", id="text"
        ),
    ]
    for name in ("notebooks", "tools"):
        (tmp_path / name).mkdir()
    (tmp_path / "notebooks" / "deeper").mkdir()
    for name in ("02_patches", "deeper/02_channels"):
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / f"{name}.ipynb")
    (tmp_path / "tools" / "stamp.json").write_text('{"owner": "", "repo": "", "tag": ""}\n')
    (tmp_path / "README.md").write_text(f"# Title\n\n{stamp.MARK}\n{stamp.END}\n\nThe end.\n")
    (tmp_path / "CITATION.cff").write_text(f"title: Title\n{stamp.CITATION_MARK}")
    return tmp_path


def test_one_command_writes_the_address_everywhere(project):
    assert stamp.main(["--owner", "someone", "--repo", "sounds", "--tag", "2026.11"], project) == 0
    colab = "https://colab.research.google.com/github/someone/sounds/blob/2026.11/notebooks"
    readme = (project / "README.md").read_text(encoding="utf-8")
    for name in ("02_patches", "deeper/02_channels"):
        notebook = nbformat.read(project / "notebooks" / f"{name}.ipynb", as_version=4)
        title, _, badge, _, body = notebook.cells[0].source.split("\n")
        assert title == "# 02 Patches"
        assert f"({colab}/{name}.ipynb)" in badge
        assert f"({colab}/{name}.ipynb)" in readme
        assert notebook.cells[1].source == stamp.setup_cell(ADDRESS)
        assert notebook.cells[2].source == "1 + 1"
    for way_in in (
        "https://codespaces.new/someone/sounds?quickstart=1",
        "https://mybinder.org/v2/gh/someone/sounds/2026.11?urlpath=lab/tree/notebooks/01_spectrograms.ipynb",
        "https://someone.github.io/sounds/",
    ):
        assert f"({way_in})" in readme
    assert readme.endswith("The end.\n")
    citation = (project / "CITATION.cff").read_text(encoding="utf-8")
    assert 'repository-code: "https://github.com/someone/sounds"' in citation
    assert stamp.main(["--check"], project) == 0


def test_links_between_notebooks_lead_there_from_a_copy_in_a_drive():
    colab = "https://colab.research.google.com/github/someone/sounds/blob/2026.11/notebooks"
    text = "[back](../02_patches.ipynb), [next](03.ipynb#how), [ESC](https://esc.org/a.ipynb), [file](../../LICENSE)"
    links = stamp.links(text, "deeper/02_channels.ipynb", ADDRESS)
    assert links == (
        f"[back]({colab}/02_patches.ipynb), [next]({colab}/deeper/03.ipynb#how), "
        "[ESC](https://esc.org/a.ipynb), [file](../../LICENSE)"
    )
    another = ADDRESS | {"owner": "another"}
    assert stamp.links(links, "deeper/02_channels.ipynb", another) == links.replace("someone", "another")
    assert stamp.links(links, "deeper/02_channels.ipynb", NOWHERE) == text
    deeper = stamp.links("[why](deeper/02_channels.ipynb#sum)", "02_patches.ipynb", ADDRESS)
    assert deeper == f"[why]({colab}/deeper/02_channels.ipynb#sum)"
    assert stamp.links(deeper, "02_patches.ipynb", NOWHERE) == "[why](deeper/02_channels.ipynb#sum)"


def test_an_address_can_be_changed_and_taken_back(project):
    stamp.main([], project)
    before = {path: path.read_text(encoding="utf-8") for path in project.rglob("*.*") if path.is_file()}
    stamp.main(["--owner", "someone", "--repo", "sounds", "--tag", "2026.11"], project)
    stamp.main(["--owner", "other", "--repo", "sounds", "--tag", "2027.01"], project)
    texts = [path.read_text(encoding="utf-8") for path in before]
    assert not any("someone" in text for text in texts)
    (project / "tools" / "stamp.json").write_text('{"owner": "", "repo": "", "tag": ""}\n')
    stamp.main([], project)
    assert {path: path.read_text(encoding="utf-8") for path in before} == before


def test_check_names_the_file_that_differs_and_changes_nothing(project, capsys):
    stamp.main([], project)
    path = project / "notebooks" / "02_patches.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("finds the code", "looks for the code"), encoding="utf-8")
    assert stamp.main(["--check"], project) == 1
    assert "02_patches.ipynb" in capsys.readouterr().out
    assert "looks for the code" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--owner", "someone"],
        ["--owner", "some one", "--repo", "sounds", "--tag", "1"],
        ["--owner", "someone", "--repo", "a/b", "--tag", "1"],
        ["--owner", "someone", "--repo", "sounds", "--tag", 'x"; import os'],
    ],
)
def test_a_wrong_address_is_refused(project, wrong, capsys):
    with pytest.raises(SystemExit):
        stamp.main(wrong, project)
    assert (project / "tools" / "stamp.json").read_text() == '{"owner": "", "repo": "", "tag": ""}\n'


def test_a_notebook_without_a_setup_cell_is_refused(project):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 03"), nbformat.v4.new_code_cell("1")])
    nbformat.write(notebook, project / "notebooks" / "03_positions.ipynb")
    with pytest.raises(ValueError, match="03_positions.ipynb must be tagged `setup`"):
        stamp.main([], project)


def test_this_project_is_stamped(capsys):
    assert stamp.main(["--check"]) == 0, capsys.readouterr().out

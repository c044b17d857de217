"""The first cell of every notebook, run as a script: with a stand-in for Colab, a local remote and a stand-in for pip."""

import os
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import pytest

from tools import stamp

PROJECT = Path(__file__).resolve().parents[1]
ADDRESS = {"owner": "someone", "repo": "sounds", "tag": "2026.11"}
NOWHERE = dict.fromkeys(ADDRESS, "")
PIP = """
import os, pathlib, sys
pathlib.Path("{log}").open("a").write(" ".join(sys.argv[1:]) + "\\n")
sys.exit(int(os.environ["PIP_EXIT"]))
"""


def git(*arguments, cwd):
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "tag.gpgSign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True)


@pytest.fixture
def colab(tmp_path):
    """A machine like Colab's: /content is a folder of its own, GitHub is one on this disk, timm and pip are stand-ins."""
    remote = tmp_path / "github" / "someone" / "sounds.git"
    (remote / "helpers").mkdir(parents=True)
    (remote / "helpers" / "__init__.py").write_text("")
    (remote / "helpers" / "session.py").write_text("WHOSE = 'ours'\n")
    git("init", "-q", cwd=remote)
    git("add", ".", cwd=remote)
    git("commit", "-q", "-m", "all of it", "--no-gpg-sign", cwd=remote)
    git("tag", "2026.11", cwd=remote)
    (tmp_path / "content").mkdir()
    (tmp_path / "standins" / "pip").mkdir(parents=True)
    log = tmp_path / "pip.log"
    (tmp_path / "standins" / "pip" / "__init__.py").write_text("")
    (tmp_path / "standins" / "pip" / "__main__.py").write_text(PIP.format(log=log.as_posix()))

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
        for old in (tmp_path / "standins").glob("timm-*"):
            (old / "METADATA").unlink()
            old.rmdir()
        info = tmp_path / "standins" / f"timm-{timm}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: timm\nVersion: {timm}\n")
        cell = stamp.setup_cell(address)
        assert '"/content"' in cell
        cell = cell.replace('"/content"', repr((tmp_path / "content").as_posix()))
        fake = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')\n" * colab
        after = "\nfrom helpers import session\nprint(session.__file__)\n"
        environment = os.environ | {
            "PYTHONPATH": str(tmp_path / "standins"),
            "PIP_EXIT": str(pip_exit),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{(tmp_path / 'github').as_uri()}/.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://github.com/",
        }
        return subprocess.run(
            [sys.executable, "-c", fake + before + "\n" + (cell + "\n") * times + after],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
        )

    clone = tmp_path / "content" / "sounds-2026.11"
    return types.SimpleNamespace(run=run, remote=remote, clone=clone, log=log, folder=tmp_path)


def test_the_cell_is_short_enough_to_be_read():
    lines = stamp.setup_cell(ADDRESS).splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 110


def test_a_good_tag_is_cloned_and_imported(colab):
    done = colab.run()
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == colab.clone / "helpers" / "session.py"
    assert not colab.log.exists()


def test_a_second_run_and_a_restart_need_no_network(colab):
    assert colab.run(times=2).returncode == 0
    colab.remote.rename(colab.remote.with_name("gone.git"))
    done = colab.run(times=2)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(colab.clone)


def test_a_missing_tag_fails_clearly_and_can_be_tried_again(colab):
    git("tag", "-d", "2026.11", cwd=colab.remote)
    done = colab.run()
    assert done.returncode != 0
    assert "Remote branch 2026.11 not found" in done.stderr
    assert "CalledProcessError" in done.stderr
    assert not colab.clone.exists()
    git("tag", "2026.11", cwd=colab.remote)
    assert colab.run().returncode == 0


def test_half_a_clone_is_thrown_away(colab):
    part = colab.clone.with_name(colab.clone.name + ".part")
    (part / "helpers").mkdir(parents=True)
    (part / "helpers" / "session.py").write_text("WHOSE = 'half'\n")
    done = colab.run()
    assert done.returncode == 0, done.stderr
    assert not part.exists()
    assert (colab.clone / "helpers" / "session.py").read_text() == "WHOSE = 'ours'\n"


@pytest.mark.parametrize("older", ["1.0.28", "1.0.9", "0.9.16"])
def test_an_older_timm_is_replaced_and_nothing_else(colab, older):
    assert colab.run(timm=older).returncode == 0
    assert colab.log.read_text() == "install -q --no-deps timm==1.0.31\n"


@pytest.mark.parametrize("newer", ["1.0.31", "1.0.32", "1.1.0", "2.0"])
def test_a_newer_timm_is_left_alone(colab, newer):
    assert colab.run(timm=newer).returncode == 0
    assert not colab.log.exists()


def test_a_failed_install_stops_the_cell(colab):
    done = colab.run(timm="1.0.28", pip_exit=1)
    assert done.returncode != 0
    assert "timm==1.0.31" in done.stderr.splitlines()[-1]
    assert colab.run(timm="1.0.28").returncode == 0


def test_another_helpers_is_noticed(colab):
    other = colab.folder / "other"
    (other / "helpers").mkdir(parents=True)
    (other / "helpers" / "__init__.py").write_text("")
    done = colab.run(before=f"sys.path.insert(0, {str(other)!r})\nimport helpers")
    assert done.returncode != 0
    assert "Another `helpers` is loaded" in done.stderr


def test_without_an_address_the_cell_says_what_to_do(colab):
    done = colab.run(NOWHERE)
    assert done.returncode != 0
    assert "run `python -m tools.stamp`" in done.stderr.splitlines()[-1]
    assert not any((colab.folder / "content").iterdir())


@pytest.mark.parametrize("folder", [".", "notebooks"])
@pytest.mark.parametrize("address", [ADDRESS, NOWHERE])
def test_elsewhere_it_only_finds_the_project(colab, folder, address, tmp_path):
    project = tmp_path / "my project"
    for name in ("helpers", "notebooks"):
        (project / name).mkdir(parents=True)
    (project / "helpers" / "__init__.py").write_text("")
    (project / "helpers" / "session.py").write_text("")
    done = colab.run(address, cwd=project / folder, colab=False, timm="1.0.28")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == project / "helpers" / "session.py"
    assert not colab.log.exists()


def test_outside_the_project_it_says_so(colab):
    done = colab.run(colab=False)
    assert done.returncode != 0
    assert "Open this notebook inside the project" in done.stderr


# --- stamping ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    """A project with one lesson that nobody has stamped."""
    cells = [
        nbformat.v4.new_markdown_cell("# 02 Patches\n\nWhat you see.", id="title"),
        nbformat.v4.new_code_cell("import sys", id="setup", metadata={"tags": ["setup"]}),
        nbformat.v4.new_code_cell("1 + 1", id="sum"),
    ]
    for name in ("notebooks", "tools"):
        (tmp_path / name).mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / "02_patches.ipynb")
    (tmp_path / "tools" / "stamp.json").write_text('{"owner": "", "repo": "", "tag": ""}\n')
    (tmp_path / "README.md").write_text(f"# Title\n\n{stamp.MARK}\n{stamp.END}\n\nThe end.\n")
    (tmp_path / "CITATION.cff").write_text(f"title: Title\n{stamp.CITATION_MARK}")
    return tmp_path


def test_one_command_writes_the_address_everywhere(project, capsys):
    assert stamp.main(["--owner", "someone", "--repo", "sounds", "--tag", "2026.11"], project) == 0
    notebook = nbformat.read(project / "notebooks" / "02_patches.ipynb", as_version=4)
    link = "https://colab.research.google.com/github/someone/sounds/blob/2026.11/notebooks/02_patches.ipynb"
    title, _, badge, _, body = notebook.cells[0].source.split("\n")
    assert (title, body) == ("# 02 Patches", "What you see.")
    assert link in badge
    assert notebook.cells[1].source == stamp.setup_cell(ADDRESS)
    assert notebook.cells[2].source == "1 + 1"
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert link in readme
    assert readme.endswith("The end.\n")
    citation = (project / "CITATION.cff").read_text(encoding="utf-8")
    assert 'repository-code: "https://github.com/someone/sounds"' in citation
    assert stamp.main(["--check"], project) == 0


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
    path.write_text(path.read_text(encoding="utf-8").replace("Run this cell first", "Run me"), encoding="utf-8")
    assert stamp.main(["--check"], project) == 1
    assert "02_patches.ipynb" in capsys.readouterr().out
    assert "Run me" in path.read_text(encoding="utf-8")


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

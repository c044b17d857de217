"""The project's own files agree with each other, and with the machines that the series must run on."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tools import notebooks, setup

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {extra: [Requirement(line) for line in lines] for extra, lines in PROJECT["optional-dependencies"].items()}
NEEDED = [Requirement(line) for line in PROJECT["dependencies"]]

SUBJECT = ["torch", "torchaudio", "timm", "matplotlib", "jupyterlab", "nbval", "ipywidgets"]  # what the series is about

# Google Colab's GPU runtimes. Source: googlecolab/backend-info, pip-freeze.gpu.txt: all of it at commit 03a8903 (June
# 2026); what had moved by commit a724079 (19 August 2026), and what the runtime pinned as 2026.04 has.
COLAB = {
    "accelerate": "1.13.0",
    "filelock": "3.29.0",
    "huggingface_hub": "1.17.0",
    "ipykernel": "6.17.1",
    "ipython": "7.34.0",
    "ipywidgets": "7.7.1",
    "matplotlib": "3.10.0",
    "numpy": "2.0.2",
    "packaging": "26.2",
    "pandas": "2.2.2",
    "pillow": "11.3.0",
    "pooch": "1.9.0",
    "requests": "2.32.4",
    "safetensors": "0.7.0",
    "scikit-learn": "1.6.1",
    "scipy": "1.16.3",
    "soundfile": "0.13.1",
    "threadpoolctl": "3.6.0",
    "timm": "1.0.27",
    "torch": "2.11.0+cu128",
    "torchaudio": "2.11.0+cu128",
    "tqdm": "4.67.3",
}
COLAB_RUNTIMES = {
    "2026-06": COLAB,
    "2026-08": COLAB | {"numpy": "2.1.3", "soundfile": "0.14.0", "timm": "1.0.28"},
    "pinned 2026.04": COLAB | {"torch": "2.10.0", "torchaudio": "2.10.0", "timm": "1.0.26"},
}


def pins(path: str) -> list[Requirement]:
    """The lines of a requirements file, each of which must be an exact version."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for requirement in requirements:
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), f"{path}: {requirement}"
        assert requirement.url is None
    return requirements


def version(requirement: Requirement) -> str:
    return str(requirement.specifier).removeprefix("==")


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", COLAB_RUNTIMES)
def test_colab_has_all_that_the_lessons_need_but_timm(runtime):
    has = {canonicalize_name(name): found for name, found in COLAB_RUNTIMES[runtime].items()}
    lessons = [one for one in NEEDED if one.name != "av"]  # only a phone's recording needs it, and says so
    lessons += [one for one in EXTRAS["lab"] if one.name == "ipykernel"]
    unmet = [one.name for one in lessons if not one.specifier.contains(has[canonicalize_name(one.name)])]
    assert unmet == ["timm"]


def test_colab_stand_in_has_colabs_versions():
    for pin in pins("tools/colab.txt"):
        if pin.name in COLAB and pin.name != "pandas":  # 2.2.2 has no wheel for Python 3.13
            assert version(pin) in {runtime[pin.name] for runtime in COLAB_RUNTIMES.values()}, pin


def test_the_ranges_hold_the_exact_set():
    exact = {canonicalize_name(pin.name): version(pin) for pin in pins("constraints.txt")}
    for needed in [*NEEDED, *EXTRAS["lab"], *EXTRAS["test"]]:
        assert needed.specifier.contains(exact[canonicalize_name(needed.name)]), needed


def test_torchaudio_has_torchs_minor_version():
    exact = {pin.name: version(pin) for pin in pins("constraints.txt")}
    assert exact["torch"].split(".")[:2] == exact["torchaudio"].split(".")[:2]
    ranges = {needed.name: needed.specifier for needed in NEEDED}
    assert ranges["torch"] == ranges["torchaudio"]


def test_the_exact_set_is_the_whole_closure():
    """Every package that the installed ones ask for, here and with either extra, has its line."""
    named = {canonicalize_name(pin.name) for pin in pins("constraints.txt")}
    waiting, seen = [*NEEDED, *EXTRAS["lab"], *EXTRAS["test"]], set()
    while waiting:
        one = waiting.pop()
        if (name := canonicalize_name(one.name), *one.extras) in seen:
            continue
        seen.add((name, *one.extras))
        for line in metadata.requires(name) or []:
            asked = Requirement(line)
            if not asked.marker or any(asked.marker.evaluate({"extra": extra}) for extra in ["", *one.extras]):
                waiting.append(asked)
    assert len(seen) > 100
    assert {name for name, *_ in seen} <= named


def test_conda_installs_what_set_up_installs():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    items = re.findall(r"^ +- (.+)$", text, re.MULTILINE)
    assert [item for item in items if item.startswith("--")] == setup.PIP_LINES
    pythons = [item.removeprefix("python=") for item in items if item.startswith("python=")]
    assert [SpecifierSet(PROJECT["requires-python"]).contains(found) for found in pythons] == [True]
    others = [item for item in items if not item.startswith(("--", "python="))]
    assert others[:4] == ["conda-forge", "nodefaults", "pip", "pip:"]
    assert [Requirement(one).name for one in others[4:]] == SUBJECT
    assert {Requirement(one) for one in others[4:]} <= {*NEEDED, *EXTRAS["lab"], *EXTRAS["test"]}  # ranges and all
    constraints, editable = setup.PIP_LINES
    assert (ROOT / constraints.removeprefix("--constraint ")).exists()
    assert editable == f"--editable .[{','.join(extra for extra in EXTRAS if extra != 'demo')}]"


def test_the_book_is_made_with_exact_versions():
    constraints, needed = setup.BOOK_LINES
    named = {canonicalize_name(pin.name) for pin in pins(constraints.removeprefix("--constraint "))}
    assert set(needed.split()) <= named


def test_a_codespace_sets_up_and_opens_what_exists():
    machine = json.loads(text_of(".devcontainer/devcontainer.json"))
    python, script = machine["postCreateCommand"].split()
    assert (python, (ROOT / script).exists()) == ("python3", True)
    version = machine["image"].removeprefix("mcr.microsoft.com/devcontainers/python:")
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    shown = machine["customizations"]
    assert all((ROOT / path).exists() for path in shown["codespaces"]["openFiles"])
    assert shown["vscode"]["settings"]["python.defaultInterpreterPath"].endswith("/.venv/bin/python")


def test_all_that_is_imported_is_declared():
    declared = {canonicalize_name(one.name) for one in [*NEEDED, *EXTRAS["lab"], *EXTRAS["test"]]}
    lessons = {canonicalize_name(one.name) for one in NEEDED}
    owners = metadata.packages_distributions()
    own = {"helpers", "tools", "experiments", "tests", "conftest"} | set(sys.stdlib_module_names)
    own |= {path.stem for path in (ROOT / "tests").glob("*")}
    own |= {one.name for one in EXTRAS.get("demo", [])}  # helpers.own_sounds says how to get it
    for path in [
        ROOT / "conftest.py",
        *(p for f in ("helpers", "tools", "experiments", "tests") for p in (ROOT / f).rglob("*.py")),
    ]:
        for name in imported(path) - own:
            packages = {canonicalize_name(package) for package in owners.get(name, [name])}
            allowed = lessons if path.is_relative_to(ROOT / "helpers") else declared
            assert packages & allowed, f"{path.relative_to(ROOT)} imports {name}, which pyproject.toml does not name"


def imported(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found


# --- set-up -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """`setup.environment` on a small project, with its commands recorded instead of run."""
    commands = []
    state = {"fails": None}

    def run(command, **_):
        commands.append(command[2])
        if command[2] == state["fails"]:
            raise subprocess.CalledProcessError(1, command)

    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text(name)
    packages = tmp_path / ".venv" / "packages"
    packages.mkdir(parents=True)
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup.subprocess, "run", run)
    monkeypatch.setattr(setup, "runs", lambda folder: "venv" in commands)
    monkeypatch.setattr(setup, "site_packages", lambda folder: packages)

    def set_up():
        commands[:] = ["venv"] * ("venv" in commands)
        had = len(commands)
        setup.environment(tmp_path / ".venv", setup.PIP_LINES, ["pyproject.toml", "constraints.txt"])
        return commands[had:]

    return set_up, state, packages, tmp_path


def test_set_up_is_done_once_and_again_when_a_source_changes(machine):
    set_up, _, _, root = machine
    assert set_up() == ["venv", "pip"]
    assert set_up() == []
    (root / "constraints.txt").write_text("another")
    assert set_up() == ["pip"]
    assert set_up() == []


def test_an_interrupted_set_up_goes_on(machine):
    set_up, state, packages, _ = machine
    state["fails"] = "pip"
    for name in ("whole", "half"):
        (packages / f"{name}-1.0.dist-info").mkdir()
    (packages / "whole-1.0.dist-info" / "INSTALLER").write_text("pip")
    with pytest.raises(subprocess.CalledProcessError):
        set_up()
    assert [path.name for path in packages.iterdir()] == ["whole-1.0.dist-info"]
    state["fails"] = None
    assert set_up() == ["pip"]
    assert set_up() == []


def test_an_old_python_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    monkeypatch.setattr(sys, "version", "3.10.4 (main)")
    with pytest.raises(SystemExit, match="Python 3.11 or newer is needed and this is 3.10.4: install one"):
        setup.check_python()
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(">={}.{}".format(*setup.OLDEST))


def test_a_python_without_venv_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit, match="install what it lacks .*python3-venv"):
        setup.check_python()


@pytest.mark.parametrize("content", [b"\x7fELF of another machine", b""])
def test_a_python_that_cannot_run_here_is_no_environment(tmp_path, content):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    file = tmp_path / ".venv" / "bin" / "python"
    file.write_bytes(content)
    file.chmod(0o755)
    assert not setup.runs(tmp_path / ".venv")
    file.chmod(0o644)
    assert not setup.runs(tmp_path / ".venv")


def test_a_folder_whose_name_is_not_ascii_is_found_in_an_ascii_locale(tmp_path):
    folder = tmp_path / "Übung" / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    code = "import sys; from pathlib import Path; from tools import setup; print(setup.site_packages(Path(sys.argv[1])).is_dir())"
    command = [sys.executable, "-c", code, folder]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | ascii_only, capture_output=True, text=True)
    assert run.stdout == "True\n", run.stderr


@pytest.fixture
def copied(tmp_path):
    """Command that sets up another project: pyproject.toml, and the program."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "setup.py").write_text(Path(setup.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("")
    return [sys.executable, tmp_path / "tools" / "setup.py"]


def test_what_is_in_the_way_is_said_in_one_sentence(copied, tmp_path):
    (tmp_path / "constraints.txt").mkdir()
    run = subprocess.run(copied, capture_output=True, text=True)
    assert run.returncode == 1
    (said,) = run.stderr.splitlines()
    assert "constraints.txt" in said
    assert said.endswith("remove what is in the way, and give the same command again.")


@pytest.mark.skipif(os.name == "nt", reason="no lock without fcntl")
def test_a_second_set_up_waits_for_the_first(copied, tmp_path):
    (tmp_path / "constraints.txt").mkdir()  # so that it ends at once
    with (tmp_path / "pyproject.toml").open() as file:
        setup.one_at_a_time(file)
        with subprocess.Popen(copied, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as second:
            assert second.stdout.readline() == "Another set-up is under way here: waiting for it.\n"
            assert second.poll() is None
            file.close()
            assert "constraints.txt" in second.communicate(timeout=60)[1]


def test_an_old_python_can_read_the_file():
    ast.parse(Path(setup.__file__).read_text(encoding="utf-8"), feature_version=(3, 7))


# --- what readers see -------------------------------------------------------------------------------------------------


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "WORKSHOP.md", "Makefile"])
def test_pages_name_what_exists(page):
    text = text_of(page)
    targets = set(re.findall(r"^([\w-]+):", text_of("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (ROOT / link).exists(), link
    for module in re.findall(r"-m ((?:helpers|tools|experiments)[.\w]*)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


@pytest.mark.parametrize("path", notebooks.find(), ids=notebooks.title)
def test_readme_links_every_notebook_with_its_minutes(path):
    row = re.search(rf"\(notebooks/{notebooks.title(path)}\.ipynb\)[^|]*\| (\d+) \|", text_of("README.md"))
    assert row
    assert int(row[1]) == notebooks.measure(notebooks.read(path)).minutes


def test_readme_explains_every_variable_that_the_session_reads():
    variables = re.findall(r"^    ([A-Z_]{4,}) ", text_of("helpers/session.py"), re.MULTILINE)
    assert len(variables) == 6
    for variable in variables:
        assert f"`{variable}`" in text_of("README.md")


def test_licences_and_notices_are_there():
    assert "Version 2.0, January 2004" in text_of("LICENSE")
    for part in ("CC BY 4.0", "ESC-10", "ESC-50", "CC BY-NC", "matplotlib", "nano"):
        assert part in text_of("NOTICE")
    assert "cff-version: 1.2.0" in text_of("CITATION.cff")


def test_the_picture_in_readme_is_the_one_that_lesson_02_draws():
    assert (ROOT / "README.png").read_bytes() == notebooks.opening_figure(), "run python -m tools.notebooks picture"

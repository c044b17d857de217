"""Make the project's environment, once; again when pyproject.toml or constraints.txt has changed.

    python3 tools/setup.py            .venv: what the lessons need, JupyterLab and the test tools
    python3 tools/setup.py --colab    also .venv-colab: the same, with the versions of Google Colab's kernel in front
    python3 tools/setup.py --demo     also .venv-demo: the same, with what the page of `helpers.own_sounds serve` needs
    python3 tools/setup.py --book     .venv-book alone: what `python -m tools.book` needs, a small part of the others

The system's own Python runs this file: nothing but the standard library, and nothing that an old Python cannot read
before it gets as far as the check of its version.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
# environment.yml says the same. Editable, so that `python -m helpers.session` works from any folder, and one command
# reads the dependencies from pyproject.toml; the notebooks themselves find the project without it.
PIP_LINES = ["--constraint constraints.txt", "--editable .[lab,test]"]
COLAB_LINES = ["--no-deps", "--requirement tools/colab.txt"]
DEMO_LINES = ["--requirement tools/demo.txt"]  # apart: what it asks of other packages binds nothing else
BOOK_LINES = ["--constraint tools/book.txt", "myst-nb sphinx sphinx-book-theme"]


def main():
    start = time.monotonic()
    project = (ROOT / "pyproject.toml").open()  # held until the end
    one_at_a_time(project)
    if "--book" in sys.argv[1:]:
        made = [environment(ROOT / ".venv-book", BOOK_LINES, ["tools/book.txt"])]
    else:
        made = [environment(ROOT / ".venv", PIP_LINES, ["pyproject.toml", "constraints.txt"])]
    if "--colab" in sys.argv[1:]:
        shared = site_packages(ROOT / ".venv")
        made.append(environment(ROOT / ".venv-colab", COLAB_LINES, ["constraints.txt", "tools/colab.txt"], shared))
        show_colab()
    if "--demo" in sys.argv[1:]:
        shared = site_packages(ROOT / ".venv")
        made.append(environment(ROOT / ".venv-demo", DEMO_LINES, ["constraints.txt", "tools/demo.txt"], shared))
    if any(made):
        print(f"Set up in {time.monotonic() - start:.0f} s.", flush=True)


def one_at_a_time(file):
    """Wait for another set-up of this project, where the system can tell."""
    if os.name != "nt":
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up is under way here: waiting for it.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)


def environment(folder, pip_lines, sources, shared=None):
    """Make or complete a virtual environment; whether there was anything to do.

    Its file `ready` is written last and holds a sum over all that the environment depends on, so one that was
    interrupted, moved or outdated is completed; one whose Python no longer runs is made anew.

    Args:
        shared: Folder of packages that stand behind the environment's own.
    """
    wanted = hashlib.sha256(os.fsencode(folder))
    for source in sources:
        wanted.update((ROOT / source).read_bytes())
    ready, whole = folder / "ready", runs(folder)
    if whole and ready.is_file() and ready.read_text(encoding="utf-8") == wanted.hexdigest():
        return False
    if not whole:
        check_python()
    print(f"Setting up {folder.name}: minutes. Interrupted, it goes on when the command is given again.", flush=True)
    if ready.exists():
        ready.unlink()
    if not whole:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    packages = site_packages(folder)
    for info in packages.glob("*.dist-info"):
        if not (info / "INSTALLER").exists():  # pip's last file but one: it was stopped in the middle of this package
            shutil.rmtree(str(info))
    if shared:
        (packages / "shared.pth").write_bytes(os.fsencode(shared) + b"\n")
    arguments = " ".join(pip_lines).split()
    subprocess.run([str(python(folder)), "-m", "pip", "install", *arguments], check=True, cwd=str(ROOT))
    ready.write_text(wanted.hexdigest(), encoding="utf-8")
    return True


def check_python():
    """Stop, in one sentence, where this Python cannot make the environment."""
    if sys.version_info < OLDEST:
        sys.exit(
            "Python {}.{} or newer is needed and this is {}: install one and name it, as in"
            " `make lab PYTHON=python3.12`.".format(*OLDEST, sys.version.split()[0])
        )
    try:
        import ensurepip  # noqa: F401  Debian and Ubuntu keep it in a package of its own
        import venv  # noqa: F401
    except ImportError:
        sys.exit(
            "This Python cannot make virtual environments: install what it lacks (Debian and Ubuntu:"
            " `sudo apt install python3-venv`), then give the same command again."
        )


def python(folder):
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


def runs(folder):
    """Whether the environment's Python is there and has pip."""
    if not python(folder).exists():
        return False
    try:
        return subprocess.run([str(python(folder)), "-c", "import pip"], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:  # another system's, or one that may not be run
        return False


def site_packages(folder):
    # as bytes: where the locale is ASCII, a folder with an umlaut has no other form
    code = "import os, sys, sysconfig; sys.stdout.buffer.write(os.fsencode(sysconfig.get_path('purelib')))"
    return Path(os.fsdecode(subprocess.check_output([str(python(folder)), "-c", code])))


def show_colab():
    """Print where .venv-colab takes the packages of tools/colab.txt from; stop where one is another's."""
    code = """
import sys
from importlib.metadata import distribution
from pathlib import Path
for line in Path("tools/colab.txt").read_text(encoding="utf-8").splitlines():
    if line and not line.startswith("#"):
        name, wanted = line.split("==")
        found = distribution(name)
        own = Path(found.locate_file("")).is_relative_to(sys.prefix)
        print(name, found.version, end="; ")
        if found.version != wanted or not own:
            sys.exit(f"expected {wanted}, in {sys.prefix}: remove .venv-colab and give the same command again.")
print("torch", distribution("torch").version, "shared with .venv")
"""
    subprocess.run([str(python(ROOT / ".venv-colab")), "-c", code], check=True, cwd=str(ROOT))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        command = " ".join(error.cmd[:4])
        free = shutil.disk_usage(str(ROOT)).free / 1e9
        sys.exit(f"`{command}` failed, for the reason above ({free:.1f} GB free): mend it, give the command again.")
    except OSError as error:
        sys.exit(f"{error}: make room, or remove what is in the way, and give the same command again.")
    except KeyboardInterrupt:
        sys.exit("\nStopped. Give the same command again: it goes on from here.")

"""The guard over nbval and the static rules: each broken notebook is seen here, and not by nbval alone."""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from broken_notebooks import EXERCISE, FOR_THE_LINTER, HEALTHY, IN_THE_FILE, RUNNING, code, notebook
from nbformat.v4 import new_notebook

from tools import notebooks

CELL_TIMEOUT = 25  # seconds: two notebooks wait for it, and a busy machine needs 12 to start a process
BROKEN = {name: broken for name, (broken, _) in (RUNNING | IN_THE_FILE).items()}
# nbval alone gets one kernel for all but those that end it, or that change what it says of the next cell
APART = ["dead kernel", "exit", "interrupt swallowed and a bug after it", "no code", "tags in one string"]
TOGETHER = [name for name in BROKEN if name not in APART]
# of what is seen only after the last cell, the guard gives a line for each: one kernel does for all of them, save the two
# sliders, which are moved together only where nothing was seen of each alone; what must come after the last cell comes last
BESIDE = [name for name, (_, said) in RUNNING.items() if re.search(r"\bin (a \w+|interact):", said)]
BESIDE.remove("two sliders together")
BESIDE.sort(key=lambda name: name.endswith("after the last cell"))


def run_nbval(folder, files, *plugin):
    """Run nbval on the notebooks as `make test` does; name -> (messages of its failures, longest cell in seconds)."""
    for name, made in files.items():
        notebooks.write(made, folder / f"{name}.ipynb")
    settings, report = folder / "pytest.ini", folder / "report.xml"
    settings.write_text("[pytest]\n", encoding="utf-8")
    options = (
        f"-p no:cacheprovider -n 2 --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout {CELL_TIMEOUT}"
    )
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            settings,
            *options.split(),
            *plugin,
            "--junitxml",
            report,
            folder,
        ],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(notebooks.ROOT)},
        capture_output=True,
        text=True,
    )
    assert report.exists(), run.stdout + run.stderr
    found = {name: ([], 0.0) for name in files}
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.get("classname").removesuffix(".ipynb")
        failures = [*case.iter("failure"), *case.iter("error")]
        messages = [one.get("message") + (one.text or "") for one in failures]
        found[name] = found[name][0] + messages, max(found[name][1], float(case.get("time")))
    return found


def test_nbval_alone_is_green_or_late(tmp_path):
    broken = [cell for name in TOGETHER for cell in copy.deepcopy(BROKEN[name].cells)]
    cells = [code(EXERCISE), *broken]
    found = run_nbval(tmp_path, {"together": new_notebook(cells=cells)} | {name: BROKEN[name] for name in APART})
    messages, seconds = found.pop("dead kernel")
    assert seconds >= CELL_TIMEOUT
    assert "died" not in "".join(messages)
    assert {name: messages for name, (messages, _) in found.items() if messages} == {}


def test_guard_sees_each_and_raises_no_false_alarm(tmp_path):
    beside = new_notebook(cells=[cell for name in BESIDE for cell in copy.deepcopy(RUNNING[name][0].cells)])
    files = {name: BROKEN[name] for name in RUNNING if name not in BESIDE}
    files |= {"healthy": HEALTHY, "beside": beside}
    found = {name: messages for name, (messages, _) in run_nbval(tmp_path, files, "-p", "conftest").items()}
    assert found.pop("healthy") == []
    assert {name: messages for name, messages in found.items() if len(messages) != 1} == {}
    lines = found.pop("beside")[0].splitlines()
    unseen = [name for name in BESIDE if not take(lines, RUNNING[name][1])]
    assert unseen == []
    unsaid = {name: messages[0] for name, messages in found.items() if RUNNING[name][1] not in messages[0]}
    assert unsaid == {}


def take(lines, text):
    """Whether a line has the text; such a line answers for one fault only."""
    place = next((index for index, line in enumerate(lines) if text in line), None)
    return place is not None and lines.pop(place) is not None


@pytest.mark.parametrize("name", IN_THE_FILE)
def test_lint_sees(name):
    broken, message = IN_THE_FILE[name]
    found = notebooks.lint(broken)
    assert len(found) == 1, found
    assert message in found[0]


def test_the_linter_sees(tmp_path):
    for index, source in enumerate(FOR_THE_LINTER):
        notebooks.write(notebook(source), tmp_path / f"{index}.ipynb")
    settings = ["--config", notebooks.FOLDER / ".ruff.toml", "--no-cache", "--output-format", "json"]
    run = subprocess.run([sys.executable, "-m", "ruff", "check", *settings, tmp_path], capture_output=True, text=True)
    found = {(Path(one["filename"]).stem, one["code"]) for one in json.loads(run.stdout)}
    unseen = [source for index, (source, rule) in enumerate(FOR_THE_LINTER.items()) if (str(index), rule) not in found]
    assert unseen == []


@pytest.mark.parametrize("name", RUNNING)
def test_lint_raises_no_false_alarm(name):
    assert not notebooks.lint(HEALTHY)
    tolerated = (
        "not plain Python",
        "`exit`",
        "except of KeyboardInterrupt",
        "stored as its stub",
        "no folded solution",
    )
    assert not [one for one in notebooks.lint(RUNNING[name][0]) if not any(text in one for text in tolerated)]

"""One small broken notebook for each way in which nbval alone is green, silent or late, and a healthy one.

`RUNNING` are those that the guard in conftest.py must catch while they run, `IN_THE_FILE` those that
`tools.notebooks.lint` reads from the file; the value is (notebook, part of the message that must come). `FOR_THE_LINTER` are
cells that ruff refuses by the rules of notebooks/.ruff.toml, with the rule.
"""

import base64
import io

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell
from PIL import Image

from tools import notebooks

ALT = "two squares side by side, a white one and a black one"


def code(source, *, tags=(), outputs=(), raises=None, alt=ALT):
    """A code cell; `alt` describes its figure where it has one."""
    alt = any("image/png" in output.get("data", {}) for output in outputs) and alt
    given = {"tags": list(tags), "raises": raises, "alt": alt}
    metadata = {name: value for name, value in given.items() if value}
    return new_code_cell(source, metadata=metadata, outputs=list(outputs))


def notebook(*cells, **changes):
    """A notebook as `store` leaves it: run in order, fingerprint fresh; `changes` go into the first code cell."""
    made = notebooks.tidy(new_notebook(cells=[code(c) if isinstance(c, str) else c for c in cells]))
    for count, cell in enumerate(notebooks.code_cells(made), start=1):
        cell.execution_count = count
    made.metadata.outputs_of = notebooks.fingerprint(made)
    if changes:
        notebooks.code_cells(made)[0].update(changes)
    return made


def picture(*colours):
    """A PNG as a cell's output, one pixel for each colour."""
    image, file = Image.new("RGB", (len(colours), 1)), io.BytesIO()
    image.putdata(colours)
    image.save(file, "PNG")
    return new_output("display_data", data={"image/png": base64.b64encode(file.getvalue()).decode()})


def said(text):
    return new_output("execute_result", data={"text/plain": text}, execution_count=1)


SHOW_FLAT = """
from PIL import Image
from IPython.display import display
display(Image.new("RGB", (4, 4), "white"))
"""
SHOW = SHOW_FLAT.replace("display(Image", "figure = (Image") + "figure.putpixel((1, 1), (9, 9, 9))\ndisplay(figure)"
STUB = "def double(x):\n    return ...\n\nexercise.check_double(double)"
FOLDED = (
    "<details><summary>Solution</summary>\n\n```python\ndef double(x):\n    return 2 * x\n```\nTwice.\n\n</details>"
)
EXERCISE = """
class exercise:
    def check_double(answer):
        word = "Right" if answer(2) == 4 else "Not yet"
        word = "Not attempted" if answer(1) is ... else word
        return type("Verdict", (), {"__repr__": lambda self: f"{word}. So it is."})()
"""
SLIDERS = "from ipywidgets import interact\n@interact({settings})\ndef f({names}):\n    print(1 / ({bottom}))"
DRAWN = "import matplotlib.pyplot as plt\nfigure, (left, right) = plt.subplots(1, 2)\nleft.plot([1, 2]);\n"
TWO_COLOURS = picture((255, 255, 255), (0, 0, 0))
SWALLOWED = """
import time
try:
    time.sleep(120)
except KeyboardInterrupt:
    print("stopped early, thank you")
"""
LATE_THREAD = """
import threading, time
def work():
    time.sleep(1)
    raise ValueError("late")
threading.Thread(target=work).start()
"""

RUNNING: dict[str, tuple[NotebookNode, str]] = {
    "unknown magic": (notebook("%notmagic\nassert False"), "stopped early: UsageError"),
    "error in a thread": (
        notebook("import threading\nthread = threading.Thread(target=lambda: 1 / 0)\nthread.start(); thread.join()"),
        "ZeroDivisionError",
    ),
    "error in a thread after the last cell": (notebook(LATE_THREAD), "in a thread: ValueError: late"),
    "error in a finalizer": (
        notebook("class Left:\n    def __del__(self):\n        1 / 0\nleft = Left()\ndel left"),
        "ZeroDivisionError",
    ),
    "error in a task": (
        notebook("import asyncio\nasync def work():\n    1 / 0\ntask = asyncio.create_task(work())", "1 + 1"),
        "in an asyncio task: ZeroDivisionError",
    ),
    "interrupt swallowed and a bug after it": (notebook(SWALLOWED, "1 / 0"), "swallowed the interrupt"),
    "dead kernel": (notebook("import os\nos._exit(1)"), "the kernel died"),
    "exit": (notebook("exit"), "asked the kernel to exit"),
    "no code": (notebook(new_markdown_cell("Nothing.")), "no code cell"),
    "raises nothing": (
        notebook(code("1 + 1", tags=["raises-exception"], raises="ValueError")),
        "raised nothing, expected ValueError",
    ),
    "raises something else": (
        notebook(code("import nothing_of_the_kind", tags=["raises-exception"], raises="ValueError")),
        "raised ModuleNotFoundError, expected ValueError",
    ),
    "figure gone": (notebook(code("print(1)", outputs=[TWO_COLOURS])), "0 figures drawn, 1 stored"),
    "output gone": (
        notebook(
            code("import warnings\nwarnings.warn('and nothing else')", outputs=[new_output("stream", text="17\n")])
        ),
        "no output, the stored run has one",
    ),
    "figure of one colour": (notebook(code(SHOW_FLAT, outputs=[TWO_COLOURS])), "one flat colour"),
    "figure of nearly one colour": (
        notebook(code(SHOW_FLAT.replace('"white")', '"white").resize((200, 200))'), outputs=[TWO_COLOURS])),
        "one flat colour",
    ),
    "empty axes": (notebook(DRAWN), "in a figure: ValueError: axes that hold nothing"),
    "image of NaN": (
        notebook(DRAWN + "right.imshow([[float('nan')] * 2] * 2);"),
        "in a figure: ValueError: axes that hold nothing",
    ),
    "line out of sight": (
        notebook(DRAWN + "right.plot([1, 2]);\nright.set_xlim(5, 9);"),
        "in a figure: ValueError: axes that",
    ),
    "line of NaN": (notebook(DRAWN + "right.plot([float('nan')] * 9);"), "in a figure: ValueError: axes that"),
    "slider": (
        notebook(SLIDERS.format(settings="n=(0, 5)", names="n=2", bottom="n")),
        "IntSlider at 0: in interact: ZeroDivisionError",
    ),
    "slider in the middle": (
        notebook(SLIDERS.format(settings="x=(0.0, 5.0)", names="x=1.0", bottom="x - 2.5")),
        "FloatSlider at 2.5: in interact: ZeroDivisionError",
    ),
    "two sliders together": (
        notebook(SLIDERS.format(settings="m=(0, 5), n=(0, 4)", names="m=2, n=1", bottom="9 - m - n")),
        "IntSlider at 4: in interact: ZeroDivisionError",
    ),
    "range": (
        notebook(
            "from ipywidgets import IntRangeSlider, interact\n"
            "@interact(span=IntRangeSlider())\ndef f(span):\n    print(1 / (span[1] - span[0]))"
        ),
        "IntRangeSlider at (0, 0): in interact: ZeroDivisionError",
    ),
    "text box": (
        notebook("from ipywidgets import interact\n@interact(word='bark')\ndef f(word):\n    print(word[0])"),
        "Text at '': in interact: IndexError",
    ),
    "button": (
        notebook("import ipywidgets\nbutton = ipywidgets.Button()\nbutton.on_click(lambda _: 1 / 0)"),
        "Button at 'a click': in interact: ZeroDivisionError",
    ),
    "menu": (
        notebook("from ipywidgets import interact\n@interact(n=['1', 'x'])\ndef f(n):\n    print(int(n))"),
        "Dropdown at 'x': in interact: ValueError",
    ),
    "observer": (
        notebook("import ipywidgets\nbox = ipywidgets.Checkbox(False)\nbox.observe(lambda change: 1 / 0, 'value')"),
        "Checkbox at True: in a callback: ZeroDivisionError",
    ),
    "solution that is wrong": (
        notebook(EXERCISE, code(STUB, tags=["exercise"]), new_markdown_cell(FOLDED.replace("2 * x", "3 * x"))),
        "the check of the exercise says 'wrong', expected 'right'",
    ),
    "solution that needs what the notebook has only later": (
        notebook(
            EXERCISE,
            code(STUB, tags=["exercise"]),
            new_markdown_cell(FOLDED.replace("2 * x", "two * x")),
            "two = 2",
        ),
        "NameError",
    ),
    "exercise that is not a stub": (
        notebook(code("right = 'Right. Well done.'", tags=["exercise"])),
        "the check of the exercise says None",
    ),
}

IN_THE_FILE: dict[str, tuple[NotebookNode, str]] = {
    "shell line": (notebook("!exit 3"), "not plain Python"),
    "cell magic": (notebook("%%bash\nfalse\necho fine"), "not plain Python"),
    "shell through IPython": (notebook("get_ipython().system('exit 3')"), "`get_ipython`"),
    "shell through an import": (notebook("__import__('os').system('false');"), "`__import__`"),
    "quit": (notebook("if len('') > 1:\n    quit()"), "`quit`"),
    "input": (notebook("try:\n    name = input()\nexcept Exception:\n    name = ''"), "`input`"),
    "interrupt caught": (
        notebook("try:\n    1 / 0\nexcept (ArithmeticError, KeyboardInterrupt):\n    pass"),
        "KeyboardInterrupt",
    ),
    "assertion of a constant": (notebook("assert True"), "an assertion that cannot fail"),
    "assertion of constants": (notebook("assert 1 == 1"), "an assertion that cannot fail"),
    "assertion of what was just made": (notebook("assert [1] is not None"), "an assertion that cannot fail"),
    "assertion of a function": (notebook("def f():\n    return 0\nassert f"), "an assertion that cannot fail"),
    "assertion of a generator": (notebook("assert (one > 2 for one in [1])"), "an assertion that cannot fail"),
    "assertion of a list": (notebook("assert [1 > 2]"), "an assertion that cannot fail"),
    "assertion or a function": (notebook("assert 1 > len('') or print"), "an assertion that cannot fail"),
    "comparison that only shows": (notebook("x = 1\nx > 2"), "a comparison at the end"),
    "dead code": (notebook("if False:\n    assert len('') > 1"), "a condition that is a constant"),
    "dead value": (notebook("x = 1 / 0 if 0 else 1"), "a condition that is a constant"),
    "dead code behind two conditions": (
        notebook("if len('') > 1 and not True:\n    1 / 0"),
        "a condition that is a constant",
    ),
    "dead code after a return": (
        notebook("def f():\n    return 1\n    assert len('') > 1"),
        "never reached, in: def f",
    ),
    "assertion of itself": (notebook("x = [1]\nassert x[0] == x[0]"), "an assertion that cannot fail"),
    "assertion of twice the same": (notebook("from math import isclose\nx = 1\nassert isclose(x, x)"), "cannot fail"),
    "assertion of no constant": (notebook("assert not False"), "an assertion that cannot fail"),
    "cell of dots": (notebook("..."), "a cell without code"),
    "outputs of a loop taken away": (notebook("for x in (1, 2):\n    print(x)"), "stored without an output"),
    "call that only shows": (
        notebook("import torch\nx = torch.ones(2)\ntorch.equal(x, 2 * x)\nx = 2"),
        "only shows: assert",
    ),
    "cell commented out": (notebook("# assert len('') > 1"), "a cell without code"),
    "cell turned raw": (notebook("x = 1", new_raw_cell("assert len('') > 1")), "a raw cell is not run"),
    "outputs taken away": (notebook("print(1)"), "stored without an output"),
    "misspelt tag": (notebook(code("x = 1", tags=["nbval_check_output"])), "unknown tag"),
    "tags in one string": (
        notebook(code("x = 1"), metadata=NotebookNode(tags="nbval-skip")),
        "no notebook by nbformat's schema",
    ),
    "misspelt marker": (notebook("# NBVAL_CHECK_OUPUT\nx = 1"), "marker in a comment"),
    "old marker": (notebook("# PYTEST_VALIDATE_IGNORE_OUTPUT\nx = 1"), "marker in a comment"),
    "untyped exception": (notebook(code("1 / 0", tags=["raises-exception"])), "must name the type"),
    "broken cell skipped": (notebook(code("1 / 0", tags=["nbval-skip"])), "unknown tag 'nbval-skip'"),
    "check of a cell never run": (
        notebook(code("x = 2", tags=["nbval-check-output"]), execution_count=None),
        "not one from the first cell",
    ),
    "run out of order": (notebook("x = 1", "x = 2", execution_count=3), "not one from the first cell"),
    "stale outputs": (
        notebook(code("print(0.17)", outputs=[new_output("stream", text="0.17\n")]), source="print(0.91)"),
        "not those of this code",
    ),
    "stored error": (
        notebook(code("print(1)", outputs=[new_output("error", ename="ValueError", evalue="", traceback=[])])),
        "an error is stored",
    ),
    "stored flat figure": (notebook(code(SHOW, outputs=[picture((1, 1, 1), (1, 1, 1))])), "one flat colour"),
    "stored figure that no run compares": (
        notebook(code("1", outputs=[new_output("display_data", data={"image/svg+xml": "<svg/>"})])),
        "a figure that is no PNG",
    ),
    "stored sound": (
        notebook(code("1", outputs=[new_output("display_data", data={"text/html": "data:audio/wav;base64,AA"})])),
        "tag the cell `player`",
    ),
    "path of a machine": (
        notebook(code("print(1)", outputs=[new_output("stream", text="read from /home/ann/clips\n")])),
        "a path of one machine",
    ),
    "solved exercise stored": (
        notebook(code(STUB, tags=["exercise"], outputs=[said("Right. Well done.")]), new_markdown_cell(FOLDED)),
        "stored as its stub",
    ),
    "exercise that lost its tag": (notebook(STUB, new_markdown_cell(FOLDED)), "an exercise without its tag"),
    "exercise that lost its solution": (
        notebook(code(STUB, tags=["exercise"], outputs=[said("Not attempted.")]), new_markdown_cell("Twice.")),
        "no folded solution after it",
    ),
    "exercise with another's solution": (
        notebook(
            code(STUB, tags=["exercise"], outputs=[said("Not attempted.")]),
            new_markdown_cell(FOLDED.replace("double", "twice")),
        ),
        "does not define what the exercise asks for: double(x)",
    ),
    "answer used later": (
        notebook(
            code(STUB, tags=["exercise"], outputs=[said("Not attempted.")]), new_markdown_cell(FOLDED), "double(1)"
        ),
        "uses `double`, which only the answer",
    ),
    "answer used where the reader has switched nothing on": (
        notebook(
            code(STUB, tags=["exercise"], outputs=[said("Not attempted.")]),
            new_markdown_cell(FOLDED),
            "x = 3\nif x:\n    x = double(x)",
        ),
        "uses `double`, which only the answer",
    ),
    "import that only a solution has": (
        notebook(
            code(STUB, tags=["exercise"], outputs=[said("Not attempted.")]),
            new_markdown_cell(FOLDED.replace("def double", "import math\n\ndef double")),
            "x = lambda: math.pi",
        ),
        "uses `math`, which only the answer",
    ),
    "solution that sets something": (
        notebook(
            code(STUB, tags=["exercise"], outputs=[said("Not attempted.")]),
            new_markdown_cell(FOLDED.replace("def double", "two = 2\n\ndef double")),
        ),
        "a solution is functions and imports, not two = 2",
    ),
    "figure not described": (
        notebook(code(SHOW, outputs=[TWO_COLOURS], alt="a figure")),
        "a figure without a description",
    ),
    "wide line": (notebook("x = 1  # " + "x" * 80), "a line of 89 columns"),
    "folded cell that hides much": (
        notebook(code("# @title Imports\n" + "import sys\n" * 10 + "sys", tags=["imports"])),
        "12 lines in a folded cell",
    ),
    "folded cell that Colab shows": (notebook(code("import sys", tags=["imports"])), "begins with `# @title"),
    "long output": (
        notebook(code("print(1)", outputs=[new_output("stream", text="line\n" * 61)])),
        "more than 60 lines",
    ),
}

FOR_THE_LINTER = {
    "x = 1\nassert x == x": "PLR0124",
    "x = 1\nassert x > 2 or True": "SIM222",
    "assert 'all is well'": "PLW0129",
    "x = 1\nassert f'{x} is well'": "PLW0129",
    "x = 1\nassert (x > 2, 'too small')": "F631",
    "assert False": "B011",
    "x = 1\nx == 2\ny = 2": "B015",
    "try:\n    1 / 0\nexcept:\n    print(1)": "E722",
    "try:\n    1 / 0\nexcept Exception:\n    print(1)": "BLE001",
    "try:\n    1 / 0\nexcept BaseException:\n    print(1)": "BLE001",
    "try:\n    assert len('') > 1\nexcept AssertionError:\n    pass": "S110",
    "def f():\n    try:\n        return 1 / 0\n    finally:\n        return 3": "B012",
    "import contextlib\nwith contextlib.suppress(ZeroDivisionError):\n    1 / 0": "TID251",
    "import os\nos.system('false')": "TID251",
    "import os as o\nrun = o.system\nrun('false')": "TID251",
    "from os import system\nsystem('false')": "TID251",
    "import os\nos.popen('false')": "TID251",
    "import os\ngetattr(os, 'system')('false')": "B009",
    "from subprocess import getoutput\ngetoutput('false')": "TID251",
    "from subprocess import run\nrun(['false'])": "TID251",
    "import subprocess as sp\nsp.run('false', check=False)": "TID251",
    "from IPython import get_ipython\nget_ipython().system('false')": "TID251",
    "exec('1 / 0')": "S102",
    "eval('1 / 0')": "S307",
    "breakpoint()": "T100",
    "import pdb\npdb.set_trace()": "T100",
    "from IPython.core.debugger import set_trace\nset_trace()": "TID251",
    "from threading import Thread\nThread(target=lambda: 1 / 0).start()": "TID251",
    "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor().submit(lambda: 1 / 0)": "TID251",
    "import multiprocessing\nmultiprocessing.Process(target=lambda: 1 / 0).start()": "TID251",
    "import asyncio\nasyncio.get_event_loop().call_soon(lambda: 1 / 0)": "TID251",
    "x = abs\nx.__call__\nx = 1": "B018",
    "import os\nos.spawnlp(os.P_WAIT, 'false', 'false')": "S606",
    "import doctest\ndoctest.testmod()": "TID251",
    "from IPython import embed\nembed()": "TID251",
    "import torch\ntorch.multiprocessing.Process(target=lambda: 1 / 0).start()": "TID251",
    "import atexit\natexit.register(lambda: 1 / 0)": "TID251",
}

# all that a lesson may do, and what once looked like an error
HEALTHY = notebook(
    "1 + 1",
    "n = 0\nwhile True:\n    n += 1\n    if n > 2:\n        break",
    "same = 1 + 1 == 2\nassert same == True and not len('')",
    "assert Out[1] == 2\n1 + 2;",
    "import warnings\nwarnings.warn('only a warning')",
    "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)):\n    pass",
    "import threading\nthread = threading.Thread(target=print, args=('late',))\nthread.start()",
    "import asyncio\ntask = asyncio.create_task(asyncio.sleep(0.01))\nawait asyncio.sleep(0)",
    code("raise ValueError('as said')", tags=["raises-exception"], raises="ValueError"),
    code(SHOW, outputs=[TWO_COLOURS]),
    code(
        "from ipywidgets import FloatLogSlider, IntRangeSlider, interact\n"
        "@interact(n=(1, 5), x=FloatLogSlider(value=1), span=IntRangeSlider(), name=['a', 'b'])\n"
        "def f(n, x, span, name, flag=True):\n    print(1 / n, 1 / x, span, name, flag)",
        tags=["explorer"],
    ),
    code(
        "print('Same everywhere')",
        tags=["nbval-check-output"],
        outputs=[new_output("stream", text="Same everywhere\n")],
    ),
    EXERCISE,
    code(STUB, tags=["exercise"], outputs=[said("Not attempted. So it is.")]),
    new_markdown_cell(FOLDED.replace("def double", "import math\n\ndef double")),
    "import math\nx = math.pi",
    "mine = None\nif mine:\n    double(mine)\nassert globals()['double'](1) is ...",  # the stub is back
    DRAWN + "right.set_axis_off()\nright.text(0, 0, 'no axes');",
    DRAWN + "right.hist([1, 2])\nright.fill_between([0, 1], [1, float('nan')]);",
    DRAWN + "right.imshow([[1, 1], [1, 1]]);",
)

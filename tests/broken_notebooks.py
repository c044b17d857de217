"""One small broken notebook for each way in which nbval alone is green, silent or late, and a healthy one.

`RUNNING` are those that the guard in conftest.py must catch while they run, `IN_THE_FILE` those that
`tools.notebooks.lint` reads from the file. The value is (notebook, part of the message that must come).
"""

import base64
import io

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
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
        notebook("import asyncio\nasync def work():\n    1 / 0\ntask = asyncio.create_task(work())", "print(1)"),
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
    "figure of one colour": (notebook(code(SHOW_FLAT, outputs=[TWO_COLOURS])), "one flat colour"),
    "slider": (
        notebook("from ipywidgets import interact\n@interact(n=(0, 5))\ndef f(n=2):\n    print(1 / n)"),
        "IntSlider at 0: in interact: ZeroDivisionError",
    ),
    "menu": (
        notebook("from ipywidgets import interact\n@interact(n=['1', 'x'])\ndef f(n):\n    print(int(n))"),
        "Dropdown at 'x': in interact: ValueError",
    ),
    "observer": (
        notebook("import ipywidgets\nbox = ipywidgets.Checkbox(False)\nbox.observe(lambda change: 1 / 0, 'value')"),
        "Checkbox at True: in a callback: ZeroDivisionError",
    ),
    "exercise that is not a stub": (
        notebook(code("print('Right. Well done.')", tags=["exercise"])),
        "the check of the exercise says None",
    ),
}

IN_THE_FILE: dict[str, tuple[NotebookNode, str]] = {
    "shell line": (notebook("!exit 3"), "not plain Python"),
    "cell magic": (notebook("%%bash\nfalse\necho fine"), "not plain Python"),
    "shell through IPython": (notebook("get_ipython().system('exit 3')"), "`get_ipython`"),
    "subprocess": (notebook("import subprocess\nsubprocess.run(['false'])"), "without check=True"),
    "os.system": (notebook("import os\nos.system('false');"), "os.system"),
    "quit": (notebook("if False:\n    quit()"), "`quit`"),
    "input": (notebook("try:\n    name = input()\nexcept Exception:\n    name = ''"), "`input`"),
    "bare except": (notebook("try:\n    1 / 0\nexcept:\n    pass"), "except of everything"),
    "interrupt caught": (
        notebook("try:\n    1 / 0\nexcept (ArithmeticError, KeyboardInterrupt):\n    pass"),
        "KeyboardInterrupt",
    ),
    "misspelt tag": (notebook(code("print(1)", tags=["nbval_check_output"])), "unknown tag"),
    "misspelt marker": (notebook("# NBVAL_CHECK_OUPUT\nprint(1)"), "marker in a comment"),
    "untyped exception": (notebook(code("1 / 0", tags=["raises-exception"])), "must name the type"),
    "broken cells skipped": (
        notebook(code("1 / 0", tags=["nbval-skip"]), code("1 / 0", tags=["nbval-skip"])),
        "tagged nbval-skip",
    ),
    "check of a cell never run": (
        notebook(code("print(2)", tags=["nbval-check-output"]), execution_count=None),
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
    "stored sound": (
        notebook(code("1", outputs=[new_output("display_data", data={"text/html": "data:audio/wav;base64,AA"})])),
        "tag the cell `player`",
    ),
    "path of a machine": (
        notebook(code("print(1)", outputs=[new_output("stream", text="read from /home/ann/clips\n")])),
        "a path of one machine",
    ),
    "solved exercise stored": (
        notebook(code("print(1)", tags=["exercise"], outputs=[said("Right. Well done.")])),
        "stored as its stub",
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

# all that a lesson may do, and what once looked like an error
HEALTHY = notebook(
    "1 + 1",
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
    code(
        "def answer():\n    return ...\n\n"
        "type('Verdict', (), {'__repr__': lambda self: 'Not attempted. Replace it.'})()",
        tags=["exercise"],
        outputs=[said("Not attempted. Replace it.")],
    ),
)

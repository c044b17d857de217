"""The guard over nbval: a green run means that every cell of the notebook ran to its end.

nbval calls some broken notebooks green, or reports them late (`tests/broken_notebooks.py` holds one of each kind).
What stands here closes what can only be seen while the notebook runs; what can be read from the file is in
`tools.notebooks.lint`. It builds on the internals of nbval 0.11, hence that version in pyproject.toml.
"""

import ast
import inspect
import time
from queue import Empty

import pytest
from nbval import plugin as nbval
from nbval.kernel import RunningKernel

from tools import notebooks


def watch_kernel() -> None:
    """Runs inside the kernel, before the first cell: `get_ipython().watched()` lists what went wrong beside the cells."""
    import asyncio
    import gc
    import sys
    import threading

    shell, seen = get_ipython(), []  # noqa: F821
    threads_before = set(threading.enumerate())

    def note(where, error):
        seen.append(f"{where}: {type(error).__name__}: {error}")

    def wrap(hook, where):
        def noting_hook(event):
            note(where, event.exc_value)
            hook(event)

        return noting_hook

    threading.excepthook = wrap(threading.excepthook, "in a thread")
    sys.unraisablehook = wrap(sys.unraisablehook, "in a finalizer")

    def settings(widget):
        """What a learner may set it to: every option, ends and middle, no text and some; a button is pressed."""
        value, least, most = (getattr(widget, name, None) for name in ("value", "min", "max"))
        if hasattr(widget, "_options_full") and not isinstance(value, tuple):  # menus, not multiple choice
            return [option for _, option in widget._options_full]
        if isinstance(value, bool):
            return [not value]
        if isinstance(value, (int, float)) and most is not None:
            return [least, type(value)((least + most) / 2), most]
        if isinstance(value, tuple) and most is not None:  # a range
            return [(least, least), (least, most), (most, most)]
        if type(widget).__name__ in ("Text", "Textarea", "Combobox"):
            return ["", "x"]
        return ["a click"] if hasattr(widget, "click") else []

    def turn(widget, setting):
        before = len(seen)
        try:
            widget.click() if hasattr(widget, "click") else setattr(widget, "value", setting)
        except Exception as error:
            note("in a callback", error)
        seen[before:] = [f"{type(widget).__name__} at {setting!r}: {text}" for text in seen[before:]]

    def sweep_widgets():
        """Turn every widget to each of its settings and back; then all of them to their first, and all to their last."""
        widgets = sys.modules.get("ipywidgets")
        if widgets is None:
            return
        pool = getattr(widgets.widget, "_instances", None)  # ipywidgets 8
        pool = widgets.Widget.widgets if pool is None else pool  # ipywidgets 7
        found = {widget: settings(widget) for widget in list(pool.values()) if settings(widget)}
        for widget, choices in found.items():
            for setting in [*choices, widget.value] if hasattr(widget, "value") else choices:
                turn(widget, setting)
        for end in (0, -1) if len(found) > 1 and not seen else ():
            for widget, choices in found.items():
                turn(widget, choices[end])

    from IPython.core import pylabtools

    draw = pylabtools.print_figure

    def looking_draw(figure, *arguments, **options):
        """Note axes that show nothing but a frame: no data, all of it NaN or out of sight."""
        import numpy as np
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(figure)  # a closed figure has none that draws
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[::-1]  # as axes count: from below
        for axes in figure.axes:
            left, bottom, right, top = axes.bbox.extents.astype(int)
            inside = pixels[bottom + 4 : top - 4, left + 4 : right - 4].reshape(-1, 4)  # without frame and ticks
            if any(np.ma.count(image.get_array()) for image in axes.images):
                continue  # a picture may be of one colour; NaN is masked
            if axes.axison and axes.get_visible() and inside.size and (inside == inside[:1]).all():
                note("in a figure", ValueError("axes that hold nothing, or nothing that can be seen"))
        return draw(figure, *arguments, **options)

    pylabtools.print_figure = looking_draw

    def watched():
        for thread in set(threading.enumerate()) - threads_before:
            if not thread.daemon:
                thread.join(10)
        gc.collect()
        for task in gc.get_objects():
            # type(), since isinstance() trips over weak proxies; the flag is up while nobody has read the exception
            if issubclass(type(task), asyncio.Task) and getattr(task, "_log_traceback", False):
                note("in an asyncio task", task.exception())
        show = shell.showtraceback  # `interact` ends here with what its function raises
        shell.showtraceback = lambda *_, **__: note("in interact", sys.exc_info()[1])
        try:
            sweep_widgets()
        finally:
            shell.showtraceback = show
        return seen

    shell.watched = watched


class GuardedKernel(RunningKernel):
    """A kernel whose death is noticed within a second, and whose replies are kept."""

    reply = None

    def execute_cell_input(self, cell_input, allow_stdin=None):
        self.reply = None
        # with history, as in Jupyter: a trailing `;` hides the value, and Out[3] exists
        return self.kc.execute(cell_input, store_history=True, allow_stdin=allow_stdin, stop_on_error=False)

    def await_reply(self, msg_id, timeout=None):
        end = time.monotonic() + (timeout or float("inf"))
        while time.monotonic() < end:
            try:
                message = self.get_message(stream="shell", timeout=1)
            except Empty:
                if not self.is_alive():
                    raise RuntimeError("the kernel died (exit, crash or out of memory)") from None
                continue
            if message["parent_header"].get("msg_id") == msg_id:
                self.reply = message["content"]
                return
        raise Empty

    def ask(self, expression, timeout):
        """Value of an expression in the kernel, which must be a literal."""
        message_id = self.kc.execute("", store_history=False, user_expressions={"answer": expression})
        self.await_reply(message_id, timeout)
        answer = self.reply["user_expressions"]["answer"]
        if answer["status"] != "ok":
            raise RuntimeError(f"{expression} raised {answer['ename']}: {answer['evalue']}")
        return ast.literal_eval(answer["data"]["text/plain"])


nbval.RunningKernel = GuardedKernel


class GuardedCell(nbval.IPyNbCell):
    """A cell that fails for whatever stopped it, and is not run after one that failed."""

    verdict = "todo"  # what the check must say, where the cell is an exercise

    def runtest(self):
        if self.parent.failed:
            pytest.skip(f"not run: {self.parent.failed} failed")
        self.output_timeout = 60  # for the last outputs; nbval gives them 5 seconds
        try:
            super().runtest()
            if problems := self.problems():
                self.raise_cell_error("\n".join(problems))
        except Exception:
            self.parent.failed = self.name
            raise

    def problems(self) -> list[str]:
        if self.parent.timed_out:
            return ["the cell ran past its time and swallowed the interrupt"]
        reply, found = self.parent.kernel.reply, []
        found += notebooks.output_problems(self.cell, self.test_outputs, verdict=self.verdict)
        if reply["status"] == "error" and not any(one.output_type == "error" for one in self.test_outputs):
            found.append(f"the cell stopped early: {reply['ename']}: {reply['evalue']}")  # an unknown magic
        if any(one["source"] == "ask_exit" for one in reply.get("payload", [])):
            found.append("the cell asked the kernel to exit")
        return found


class SolvedCell(GuardedCell):
    """An exercise cell with the folded solution in the stub's place."""

    verdict = "right"


class NotebookEnd(pytest.Item):
    """After the last cell: was there one, and what did threads, tasks and widgets raise?"""

    def runtest(self):
        notebook = self.parent
        if not any(cell.cell_type == "code" for cell in notebook.nb.cells):
            pytest.fail("the notebook has no code cell: nothing was tested", pytrace=False)
        if notebook.failed:
            pytest.skip(f"not run: {notebook.failed} failed")
        try:
            seen = notebook.kernel.ask("get_ipython().watched()", self.config.option.nbval_cell_timeout)
        except Empty:
            seen = ["threads, tasks or widgets did not come to an end in time"]
        if seen:
            pytest.fail(f"{self.path.name}, beside its cells:\n" + "\n".join(seen), pytrace=False)

    def reportinfo(self):
        return self.path, None, f"{self.path.name}::{self.name}"


class GuardedNotebook(nbval.IPyNbFile):
    """nbval's notebook with a watched kernel, guarded cells and one more item at the end."""

    failed = None  # name of the first cell that failed

    def setup(self):
        super().setup()
        source = inspect.getsource(watch_kernel) + "\nwatch_kernel(); del watch_kernel"
        self.kernel.await_idle(self.kernel.kc.execute(source, store_history=False), timeout=60)

    def collect(self):
        """The cells in order; after an exercise's stub its folded solution, and the stub again.

        So one run has both the reader who solves an exercise, with all that the notebook has made up to there, and the
        one who leaves it out. That nothing later uses an answer is in `tools.notebooks.lint`.
        """
        cells = list(super().collect())
        try:
            twins = notebooks.code_cells(notebooks.solved(self.nb))
        except (ValueError, SyntaxError):  # the stub is then no solution, and fails as one
            twins = notebooks.code_cells(self.nb)
        for cell, twin in zip(cells, twins, strict=True):
            tries = [(GuardedCell, cell.name, cell.cell)]
            if "exercise" in notebooks.tags(cell.cell):
                tries += [(SolvedCell, f"{cell.name} solved", twin), (GuardedCell, f"{cell.name} again", cell.cell)]
            for kind, name, source in tries:
                yield kind.from_parent(self, name=name, cell_num=cell.cell_num, cell=source, options=cell.options)
        yield NotebookEnd.from_parent(self, name="end")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    found = yield
    return [
        GuardedNotebook.from_parent(parent, path=file_path) if isinstance(one, nbval.IPyNbFile) else one
        for one in found
    ]

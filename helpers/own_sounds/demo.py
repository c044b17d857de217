"""A page in the browser for a model of one's own: upload or microphone, class probabilities, spectrogram, timeline.

Gradio makes it, an extra of the project: `python tools/setup.py --demo` puts it into `.venv-demo`.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path

from helpers import decode, figures
from helpers.own_sounds.model import Loaded, picture, timeline

MOST_SECONDS = 600


def page(loaded: Loaded):
    """The page, a `gradio.Blocks`; OSError if Gradio is not installed here."""
    try:
        import gradio
    except ImportError:
        raise OSError("The page needs Gradio: run `python tools/setup.py --demo`, use .venv-demo's Python.") from None
    notes = loaded[2]

    def hear(path: str | None):
        if path is None:
            raise gradio.Error("There is no sound yet: record one, or choose a file.")
        try:
            length = sum(len(samples) / rate for samples, rate in decode.blocks(path))
            if length > MOST_SECONDS:
                raise ValueError(f"{path} lasts {length:.0f} s, {MOST_SECONDS} s are the most here.")
            heard = timeline(loaded, path)
        except (OSError, ValueError) as error:
            raise gradio.Error(str(error).replace(path, Path(path).name)) from None
        drawn = figures.plot_timeline(picture(loaded, path), heard, threshold=notes["threshold"])
        table = heard[["start", "end", "class", "probability"]].astype({"probability": "float64"}).round(2)
        return heard[notes["class_names"]].mean().to_dict(), drawn, table

    with gradio.Blocks(title="Your own sounds", analytics_enabled=False, delete_cache=(60, 600)) as blocks:
        gradio.Markdown(f"# Your own sounds\nThis model knows: {', '.join(notes['class_names'])}.")
        sound = gradio.Audio(sources=["upload", "microphone"], type="filepath", label="a sound of yours")
        button = gradio.Button("What is it?", variant="primary")
        likely = gradio.Label(num_top_classes=5, label="mean probability", show_heading=False)
        drawn, table = gradio.Plot(label="over time"), gradio.Dataframe(label="window by window")
        button.click(hear, sound, [likely, drawn, table], api_name="hear")
    # Fonts that need not be fetched.
    blocks.theme_of_ours = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return blocks


def serve(loaded: Loaded, *, host: str, port: int) -> None:
    """Serve the page until it is stopped. What is uploaded lies in a folder of its own, which goes when the page ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # an end like any other: the folder goes
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"], os.environ["GRADIO_ANALYTICS_ENABLED"] = folder, "False"
        blocks = page(loaded)
        where = {"server_name": host, "server_port": port, "share": False}
        blocks.launch(**where, max_file_size="50mb", theme=blocks.theme_of_ours)

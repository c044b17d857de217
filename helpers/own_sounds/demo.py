"""A page in the browser for a model of one's own: upload or microphone, class probabilities, spectrogram, timeline.

Gradio makes it, an extra of the project: `python tools/setup.py --demo` puts it into `.venv-demo`.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path

from torch import nn

from helpers import decode, figures, spectrograms
from helpers.own_sounds.model import picture, timeline

MOST_SECONDS = 600
MOST_SIZE = "50mb"


def page(loaded: tuple[nn.Module, spectrograms.LogMel, dict]):
    """The page, a `gradio.Blocks`.

    Raises:
        OSError: If Gradio is not installed here.
    """
    try:
        import gradio
    except ImportError:
        raise OSError(
            "The page needs Gradio: run `python tools/setup.py --demo`, then this command again with .venv-demo's Python."
        ) from None
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
        table = heard[["start", "end", "class", "probability"]].round(2)
        return heard[notes["class_names"]].mean().to_dict(), drawn, table

    fonts = ["system-ui", "sans-serif"]  # none that would be fetched
    with gradio.Blocks(title="Your own sounds", analytics_enabled=False, delete_cache=(60, 600)) as blocks:
        gradio.Markdown(f"# Your own sounds\nThis model knows: {', '.join(notes['class_names'])}.")
        sound = gradio.Audio(sources=["upload", "microphone"], type="filepath", label="a sound of yours")
        button = gradio.Button("What is it?", variant="primary")
        likely = gradio.Label(num_top_classes=5, label="mean probability", show_heading=False)
        drawn, table = gradio.Plot(label="over time"), gradio.Dataframe(label="window by window")
        button.click(hear, sound, [likely, drawn, table], api_name="hear")
    blocks.theme_of_ours = gradio.themes.Default(font=fonts, font_mono=["monospace"])
    return blocks


def serve(loaded: tuple[nn.Module, spectrograms.LogMel, dict], *, host: str = "127.0.0.1", port: int = 7860) -> None:
    """Serve the page until it is stopped. What is uploaded lies in a folder of its own, which goes when the page ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # an end like any other: the folder goes
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"], os.environ["GRADIO_ANALYTICS_ENABLED"] = folder, "False"
        blocks = page(loaded)
        blocks.launch(
            server_name=host, server_port=port, share=False, max_file_size=MOST_SIZE, theme=blocks.theme_of_ours
        )

"""Start from this folder alone, with or without a network: `python3 -m tools.start` in a terminal there.

Sounds in `data`, weights in `weights` and packages in `wheels` are used where these folders lie in the project's.
"""

import os
import subprocess

from tools import setup

FOLDERS = {"AUDIO_DATA": "data", "VISION_WEIGHTS": "weights"}


def main():
    for variable, folder in FOLDERS.items():
        if (setup.ROOT / folder).is_dir():
            os.environ.setdefault(variable, str(setup.ROOT / folder))
    wheels = setup.ROOT / "wheels"
    if wheels.is_dir():
        os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=wheels.as_uri())  # a plain path may not hold a blank
    setup.main()
    first = min((setup.ROOT / "notebooks").glob("*.ipynb"))
    lab = [str(setup.python(setup.ROOT / ".venv")), "-m", "jupyterlab", str(first)]
    return subprocess.run(lab, cwd=str(setup.ROOT)).returncode


if __name__ == "__main__":
    raise SystemExit(main())

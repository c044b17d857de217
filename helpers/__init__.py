"""What the lessons import: one module for each lesson, and a few that they share.

On Colab, whose timm is older, importing this package installs the one that they need, before any of them imports it.
"""

import subprocess
import sys
from importlib import invalidate_caches, metadata

from packaging.version import Version

TIMM = "1.0.31"  # an older one leaves position tables of equal count scrambled

if "google.colab" in sys.modules and Version(metadata.version("timm")) < Version(TIMM):
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", f"timm=={TIMM}"]  # and nothing with it
    subprocess.run(pip, check=False)  # `session.start` says if that failed
    invalidate_caches()

"""`python -m experiments.benchmark NAME [arguments]` runs `experiments/benchmark/NAME.py`; without a name, lists them."""

import pkgutil
import sys
from importlib import import_module

from experiments import benchmark

names = sorted(module.name for module in pkgutil.iter_modules(benchmark.__path__) if not module.name.startswith("_"))
if len(sys.argv) < 2 or sys.argv[1] not in names:
    sys.exit(f"usage: python -m experiments.benchmark NAME, with NAME one of {', '.join(names)}")
import_module(f"experiments.benchmark.{sys.argv[1]}").main(sys.argv[2:])

"""What a lesson teaches in a cell and `helpers` offers under the same name is one definition, docstring apart."""

import ast

import pytest

from tools import notebooks

DEFINITIONS = (ast.FunctionDef, ast.ClassDef)


def definitions(source):
    """Name -> definition in normal spelling, without docstrings and comments, for all top-level functions and classes."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, DEFINITIONS):
            for part in ast.walk(node):
                if isinstance(part, DEFINITIONS) and ast.get_docstring(part) is not None:
                    part.body = part.body[1:] or [ast.Pass()]
            found[node.name] = ast.unparse(node)
    return found


def taught(notebook):
    """Cells' definitions, those of the exercises apart: a stub shares its name with the answer."""
    found = {}
    for cell in notebooks.code_cells(notebook):
        if not {"exercise", "setup"} & set(notebooks.tags(cell)):
            found |= definitions(cell.source)
    return found


def public(module):
    found = definitions(module.read_text(encoding="utf-8"))
    return {name: definition for name, definition in found.items() if not name.startswith("_")}


LESSONS = {notebooks.title(path): taught(notebooks.read(path)) for path in notebooks.find()}
ROAD = [notebooks.title(path) for path in notebooks.find() if notebooks.kind(path) == "road"]
MODULES = [*sorted((notebooks.ROOT / "helpers").glob("*.py")), notebooks.ROOT / "helpers" / "own_sounds" / "model.py"]
HELPERS = {path.stem: public(path) for path in MODULES}
SHARED = [
    pytest.param(lesson, module, name, id=f"{lesson}:{module}.{name}")
    for lesson, cells in LESSONS.items()
    for module, functions in HELPERS.items()
    for name in sorted(cells.keys() & functions.keys())
]


@pytest.mark.parametrize(("lesson", "module", "name"), SHARED)
def test_cell_and_helpers_hold_the_same_definition(lesson, module, name):
    assert LESSONS[lesson][name] == HELPERS[module][name]


@pytest.mark.parametrize("lesson", ROAD)
def test_every_lesson_teaches_code_that_helpers_offers(lesson):
    assert any(lesson == one.values[0] for one in SHARED)


def test_comparison_ignores_docstring_and_layout_and_nothing_else():
    cell = definitions("def f(x):\n    return x.sum(dim=1,\n        keepdim=True)  # over channels")
    assert cell == definitions('def f(x):\n    """Sum."""\n    return x.sum(dim=1, keepdim=True)')
    assert cell != definitions("def f(x):\n    return x.sum(dim=2, keepdim=True)")
    assert cell != definitions("def f(x, y=1):\n    return x.sum(dim=1, keepdim=True)")
    assert cell != definitions("def f(x: Tensor):\n    return x.sum(dim=1, keepdim=True)")

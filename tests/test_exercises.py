"""Each exercise: *not attempted* on its stub, a message for each known mistake, *right* in three spellings."""

import ast
import importlib
import pkgutil

import pytest

from helpers import exercises
from tools import notebooks

LESSONS = [one.name for one in pkgutil.iter_modules(exercises.__path__) if one.name.startswith(("lesson_", "deeper_"))]
MODULES = {name: importlib.import_module(f"helpers.exercises.{name}") for name in LESSONS}
CHECKS = [
    pytest.param(lesson, name.removeprefix("check_"), id=f"{lesson}.{name}")
    for lesson, module in MODULES.items()
    for name in vars(module)
    if name.startswith("check_")
]
every_lesson = pytest.mark.parametrize("lesson", LESSONS)
every_check = pytest.mark.parametrize(("lesson", "name"), CHECKS)


def check(lesson, name, answer):
    return getattr(MODULES[lesson], f"check_{name}")(answer)


def right_answers(lesson, name):
    return importlib.import_module(f"answers.{lesson}").RIGHT[name]


def notebook_of(lesson):
    (path,) = notebooks.find([lesson.removeprefix("lesson_").replace("deeper_", "deeper/")])
    return notebooks.read(path)


def verdicts(notebook):
    """Name of each check -> its verdict, from the exercise cells alone, with the imports and functions of the lesson."""
    scope, found = {}, {}
    for cell in notebooks.code_cells(notebook):
        if "setup" in notebooks.tags(cell):
            continue
        tree = ast.parse(cell.source)
        if "exercise" not in notebooks.tags(cell):
            kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
            tree.body = [node for node in tree.body if isinstance(node, kinds)]
            exec(compile(tree, "lesson", "exec"), scope)
        else:
            call = notebooks.check_call(cell.source)
            tree.body.pop()
            exec(compile(tree, "exercise", "exec"), scope)
            found[call.split("(")[0].removeprefix("exercise.check_")] = eval(call, scope)
    return found


def test_there_are_exercises():
    assert CHECKS


@every_lesson
def test_notebook_and_module_have_the_same_exercises(lesson):
    names = [name.removeprefix("check_") for name in vars(MODULES[lesson]) if name.startswith("check_")]
    assert names
    assert set(MODULES[lesson].MISTAKES) == set(names)
    assert set(importlib.import_module(f"answers.{lesson}").RIGHT) == set(names)
    cells = [cell for cell in notebook_of(lesson).cells if "exercise" in notebooks.tags(cell)]
    calls = [notebooks.check_call(cell.source).split("(")[0] for cell in cells]
    assert sorted(calls) == sorted(f"exercise.check_{name}" for name in names)


@every_lesson
def test_stubs_of_the_notebook_are_not_attempted(lesson):
    found = verdicts(notebook_of(lesson))
    assert {name: verdict.outcome for name, verdict in found.items()} == dict.fromkeys(found, "todo")


@every_lesson
def test_solutions_of_the_notebook_are_right(lesson):
    found = verdicts(notebooks.solved(notebook_of(lesson)))
    assert {name: verdict.outcome for name, verdict in found.items()} == dict.fromkeys(found, "right")


@every_check
def test_no_answer_is_not_attempted(lesson, name):
    assert check(lesson, name, lambda *_, **__: ...).outcome == "todo"
    assert check(lesson, name, lambda *_, **__: None).outcome == "todo"


@every_check
def test_each_known_mistake_has_its_message(lesson, name):
    mistakes = MODULES[lesson].MISTAKES[name]
    assert len(mistakes) >= 4
    for message, mistake in mistakes.items():
        assert check(lesson, name, mistake) == exercises.Verdict("wrong", message)


@every_check
def test_three_spellings_are_right(lesson, name):
    spellings = right_answers(lesson, name)
    assert len(spellings) >= 3
    for spelling in spellings:
        verdict = check(lesson, name, spelling)
        assert verdict.outcome == "right", verdict


@every_check
def test_an_answer_that_raises_is_wrong_and_names_the_error(lesson, name):
    def raises(*_, **__):
        raise RuntimeError("spilt milk")

    verdict = check(lesson, name, raises)
    assert verdict.outcome == "wrong"

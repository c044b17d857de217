"""Each exercise: *not attempted* on its stub, a message for each known mistake, *right* in three spellings."""

import ast
import importlib
import pkgutil

import numpy as np
import pandas as pd
import pytest
import torch

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


# --- what an answer does besides giving a result -----------------------------------------------------------------------


def total(numbers):
    return numbers.sum()


def graded(answer, numbers=None):
    numbers = np.array([3.0, 1.0, 2.0]) if numbers is None else numbers
    return exercises.grade(answer, reference=total, mistakes={}, right="So it is.", cases=[(numbers,)])


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
        (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    ],
    ids=["gradients", "default type"],
)
def test_an_answer_that_changes_a_setting_for_good_is_wrong_and_the_setting_is_put_back(change, state):
    before = state()
    verdict = graded(lambda numbers: (change(), numbers.sum())[1])
    assert verdict.outcome == "wrong"
    assert "all that comes after" in verdict.message
    assert state() == before


def test_an_answer_that_changes_its_argument_is_wrong():
    verdict = graded(lambda numbers: (numbers.sort(), numbers.sum())[1])
    assert verdict == exercises.Verdict("wrong", "Your code changes what it was given: work on a copy.")


@pytest.mark.parametrize(
    "change",
    [lambda table: table.pop("hits"), lambda table: table.sort_values("hits", inplace=True)],
    ids=["a column less", "sorted"],
)
def test_an_answer_that_changes_a_table_is_wrong(change):
    table = pd.DataFrame({"hits": [3, 1, 2]})
    verdict = graded(lambda table: (change(table), 6)[1], table)
    assert verdict == exercises.Verdict("wrong", "Your code changes what it was given: work on a copy.")


def test_a_way_without_return_is_not_an_exercise_left_out():
    given = {"reference": abs, "mistakes": {}, "right": "", "cases": [(1,), (-1,)]}
    assert exercises.grade(lambda number: number if number > 0 else None, **given) == exercises.SOMETIMES
    assert exercises.grade(lambda number: None, **given) == exercises.NO_RETURN
    assert exercises.grade(lambda number: number if number > 0 else ..., **given) == exercises.TODO


def test_of_several_results_the_message_names_the_wrong_one():
    ones, words = np.ones(2), ("rain", 0.5)
    verdict = exercises.grade(lambda: (ones, ones[:1]), reference=lambda: (ones, ones), mistakes={}, right="")
    assert verdict.message == "Result 2 of 2: The shape is (1,); expected (2,)."
    verdict = exercises.grade(lambda: ("rain", 0.4), reference=lambda: words, mistakes={}, right="")
    assert verdict.message.startswith("The result is ('rain', 0.4)")


@pytest.mark.parametrize("answer", [np.arange(3)[::-1], np.arange(2, -1, -1, dtype=">i8")], ids=["strides", "bytes"])
def test_arrays_of_any_layout_are_compared(answer):
    verdict = exercises.grade(lambda: answer, reference=lambda: np.array([2, 1, 0]), mistakes={}, right="")
    assert verdict.outcome == "right"


def test_what_cannot_be_a_tensor_is_wrong_without_a_traceback():
    assert graded(lambda numbers: 2**70).outcome == "wrong"
    assert graded(lambda numbers: np.array([2**70], dtype=object)).outcome == "wrong"
    word = exercises.grade(lambda: np.str_("rain"), reference=lambda: "rain", mistakes={}, right="")
    assert word.outcome == "right"


@every_lesson
def test_checks_leave_the_learners_random_numbers_alone(lesson):
    before = torch.get_rng_state()
    importlib.reload(MODULES[lesson])
    for name in MODULES[lesson].MISTAKES:
        check(lesson, name, right_answers(lesson, name)[0])
    assert torch.equal(torch.get_rng_state(), before)

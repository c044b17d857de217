"""Grading an exercise: three outcomes, no exception, a message of its own for each known mistake.

A lesson's module holds one `check_<name>(answer) -> Verdict` for each exercise and one table
`MISTAKES = {"<name>": {message: wrong answer, ...}}`. The check recognises a mistake by its results,
and the tests walk the same table, so a message can never lose the mistake that it speaks of.
Right answers in other spellings stand with the tests, in `tests/answers/lesson_0N.py`.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

HEADLINES = {"todo": "Not attempted", "wrong": "Not yet", "right": "Right"}


@dataclass(frozen=True)
class Verdict:
    """Outcome of a check ("todo", "wrong" or "right") and one message to the learner."""

    outcome: str
    message: str

    def __repr__(self) -> str:
        return f"{HEADLINES[self.outcome]}. {self.message}"

    def _repr_markdown_(self) -> str:
        return f"**{HEADLINES[self.outcome]}.** {self.message}"


TODO = Verdict("todo", "Replace the `...`, then run this cell again.")
NO_RETURN = Verdict("todo", "Your function gives nothing back: end it with `return`.")
SOMETIMES = Verdict("wrong", "In some cases your function gives nothing back: every way through it ends with `return`.")


def grade(
    answer: Any,
    *,
    reference: Any,
    mistakes: Mapping[str, Any],
    right: str,
    cases: Sequence[tuple] = ((),),
    atol: float = 1e-5,
) -> Verdict:
    """Compare a learner's function (or plain value) with the reference and with the known mistakes.

    Args:
        answer: The learner's function, or a value where no function is asked for.
        reference: The right function, or value.
        mistakes: Message to wrong function (or value). The first whose results, or exceptions, equal the answer's in every case gives the verdict.
        right: What to say when the answer is right.
        cases: Tuples of arguments. Sizes that all differ cannot hide a swapped axis. Each call gets a copy.
        atol: Largest difference that still counts as equal. Tensors, arrays, numbers, tuples and dicts are compared by value;
            anything else by `==`. Tensors may lie on any device.
    """
    given = [_attempt(answer, case) for case in cases]
    if any(result is ... for result in given):
        return TODO
    if any(result is None for result in given):
        return NO_RETURN if all(result is None for result in given) else SOMETIMES
    expected = [_attempt(reference, case) for case in cases]
    if _equal(given, expected, atol):
        return Verdict("right", right)
    for message, mistake in mistakes.items():
        if _equal(given, [_attempt(mistake, case) for case in cases], atol):
            return Verdict("wrong", message)
    return Verdict("wrong", _difference(given, expected, atol))


def _attempt(answer: Any, case: tuple) -> Any:
    """The result of `answer(*case)`, or the exception that it raised; a plain value is its own result."""
    if not callable(answer):
        return answer
    given, settings = copy.deepcopy(case), (torch.is_grad_enabled(), torch.get_default_dtype())
    with torch.random.fork_rng(devices=[]):  # a check must not move the learner's random numbers
        try:
            result = answer(*given)
        except Exception as error:
            result = error
    left = torch.is_grad_enabled(), torch.get_default_dtype()
    torch.set_grad_enabled(settings[0])  # what comes after the exercise needs them as they were
    torch.set_default_dtype(settings[1])
    if left != settings:
        return _Spoilt("Your code leaves gradients off, or another default type, for all that comes after: use `with`.")
    if not _equal(_data(given), _data(case), 0):
        return _Spoilt("Your code changes what it was given: work on a copy.")
    return result


class _Spoilt(Exception):
    """What an answer does besides giving a result, in a sentence."""


def _data(value: Any) -> Any:
    """Numbers, texts, arrays, tensors in their containers; a model may be changed, and counts as nothing here."""
    if isinstance(value, Mapping):
        return {key: _data(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [_data(one) for one in value]
    if isinstance(value, pd.DataFrame):
        return _data(value.to_dict("split"))  # the order of its rows, too
    return value if isinstance(value, (int, float, str, np.ndarray, np.generic, torch.Tensor)) else None


def _equal(given: Any, expected: Any, atol: float) -> bool:
    if isinstance(expected, Exception) or isinstance(given, Exception):
        return type(given) is type(expected)
    if isinstance(expected, Mapping):
        return (
            isinstance(given, Mapping)
            and given.keys() == expected.keys()
            and all(_equal(given[key], expected[key], atol) for key in expected)
        )
    if isinstance(expected, (tuple, list)):
        return (
            isinstance(given, (tuple, list))
            and len(given) == len(expected)
            and all(_equal(one, other, atol) for one, other in zip(given, expected, strict=True))
        )
    given, expected = _tensor(given), _tensor(expected)
    if isinstance(given, torch.Tensor) and isinstance(expected, torch.Tensor):
        alike = (given.shape, given.dtype) == (expected.shape, expected.dtype)
        return alike and torch.allclose(given, expected, rtol=1e-4, atol=atol, equal_nan=True)
    return isinstance(given, type(expected)) and bool(np.all(given == expected))  # np.str_ is a str


def _tensor(value: Any) -> Any:
    """Numbers, arrays and tensors of any device as float64 tensors (complex128); everything else as it is."""
    if isinstance(value, (bool, int, float, np.ndarray, np.generic, torch.Tensor)):
        try:
            plain = value
            if isinstance(value, np.ndarray):  # of any byte order, and read backwards, too
                plain = np.array(value, dtype=value.dtype.newbyteorder("="))
            plain = torch.as_tensor(plain).detach().cpu()
            return plain.cdouble() if plain.is_complex() else plain.double()
        except (TypeError, ValueError, OverflowError, RuntimeError):  # an array of objects, a number above 2^63
            return value
    return value


def _difference(given: list, expected: list, atol: float) -> str:
    """One sentence on the first case in which the answer is wrong."""
    pairs = list(zip(given, expected, strict=True))
    got, want = next((one, other) for one, other in pairs if not _equal(one, other, atol))
    if isinstance(got, _Spoilt):
        return str(got)
    if isinstance(got, Exception):
        return f"Your code raised `{type(got).__name__}: {got}`."
    got, want = _tensor(got), _tensor(want)
    if isinstance(want, torch.Tensor) and not isinstance(got, torch.Tensor):
        return f"The result is a {type(got).__name__}; a number or tensor of shape {tuple(want.shape)} is expected."
    if isinstance(want, tuple) and isinstance(got, (tuple, list)) and len(got) == len(want):
        place = next(place for place, one in enumerate(want) if not _equal(got[place], one, atol))
        if getattr(want[place], "ndim", 0):  # of an array there is more to say than its first numbers
            return f"Result {place + 1} of {len(want)}: {_difference([got[place]], [want[place]], atol)}"
    if not isinstance(want, torch.Tensor):
        return f"The result is {got!r:.80}, which is not what is expected here."
    if got.shape != want.shape:
        return f"The shape is {tuple(got.shape)}; expected {tuple(want.shape)}."
    if want.ndim == 0 and len(pairs) > 1:  # of a single case that would be the solution
        return f"In one of {len(pairs)} cases you said {got.item():g}; it is {want.item():g}."
    if got.is_complex() != want.is_complex():
        return f"The result is {'complex' if got.is_complex() else 'real'}; it should not be."
    return f"The shape is right, the values are not: the largest difference is {(got - want).abs().max():.3g}."

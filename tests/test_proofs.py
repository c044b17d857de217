"""`same` says equal where it is, and cannot be content with what is not."""

import numpy as np
import pytest
import torch

from helpers.proofs import same


def test_equal_results_say_how_far_apart(capsys):
    same(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
    same(np.array([1.0, 100.0]), torch.tensor([1.0, 100.0001]))
    same(3, 3.0)
    same(torch.tensor([1 + 1j]), np.array([1 + 1j]))
    same(torch.tensor([0.0, -torch.inf]), torch.tensor([0.0, -torch.inf]))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "equal, bit for bit"
    assert said[1] == "equal, largest difference 1e-06 of the largest value"
    assert said[2:] == ["equal, bit for bit"] * 3


@pytest.mark.parametrize(
    ("by_hand", "library", "says"),
    [
        ([1.0, 2.0], [1.0, 2.1], r"number 1 by hand 2, library 2\.1"),
        ([[1.0, 2.0]], [1.0, 2.0], r"\(1, 2\), library \(2,\)"),
        ([torch.nan], [torch.nan], "differ"),
        ([torch.nan, 1.0], [0.0, 1.0], "by hand nan"),
        ([torch.inf], [1.0], "by hand inf"),
        ([torch.inf], [-torch.inf], "differ"),
        ([1e-3], [0.0], "by hand 0.001"),
        ([], [], "nothing to compare"),
        ([1.0, 1j], [1.0, 1.0], "differ"),
    ],
)
def test_what_differs_is_said_with_both_values(by_hand, library, says):
    with pytest.raises(AssertionError, match=says):
        same(torch.tensor(by_hand), torch.tensor(library))


def test_a_thing_is_no_proof_of_itself():
    values = torch.ones(3)
    with pytest.raises(AssertionError, match="proves nothing"):
        same(values, values)


def test_the_tolerance_is_a_share_of_the_largest_value():
    same(torch.tensor([1e6, 1.0]), torch.tensor([1e6, 2.0]))
    with pytest.raises(AssertionError, match="more than 1e-07"):
        same(torch.tensor([1e6, 1.0]), torch.tensor([1e6, 2.0]), tolerance=1e-7)

"""One line that proves: what we made by hand is what the library makes."""

import torch


def same(by_hand, library, *, tolerance: float = 1e-4) -> None:
    """Print that two results are equal, and how far apart at most; raise where they are not.

    Args:
        by_hand, library: Tensors, arrays or numbers of one shape, on any device.
        tolerance: Largest difference that counts as rounding, as a share of the library's largest value. float32 stays
            below 1e-5 through a whole model on a CPU; GPUs add in another order.
    Raises:
        AssertionError: If shapes or values differ, if there is nothing to compare, or both are one and the same object.
    """
    assert by_hand is not library, "Both are the same object, which proves nothing: compute one of them by hand."
    one, other = (torch.as_tensor(value).detach().cpu() for value in (by_hand, library))
    assert one.shape == other.shape, f"by hand {tuple(one.shape)}, library {tuple(other.shape)}: the shapes differ."
    assert one.numel(), f"There is nothing to compare: both have shape {tuple(one.shape)}."
    kind = torch.promote_types(torch.promote_types(one.dtype, other.dtype), torch.float64)
    one, other = one.to(kind).flatten(), other.to(kind).flatten()
    apart = torch.where(one == other, 0.0, (one - other).abs())  # two infinities of one sign are equal
    place, largest = int(apart.argmax()), float(other.abs().max())
    share = float(apart[place]) / largest if largest else float(apart[place])
    if not share <= tolerance:  # NaN is not
        raise AssertionError(
            f"They differ by {share:.1g} of the largest value, more than {tolerance:.0e}: "
            f"at number {place} by hand {one[place]:.6g}, library {other[place]:.6g}."
        )
    print("equal, bit for bit" if share == 0 else f"equal, largest difference {share:.0e} of the largest value")

"""Right answers in other spellings than the folded solutions of the tour: those of the road."""

from answers import lesson_02, lesson_03, lesson_05

RIGHT = {
    "channel_sum": lesson_02.RIGHT["channel_sum"],
    "resample": lesson_03.RIGHT["resample"],
    "find_leaks": lesson_05.RIGHT["find_leaks"],
}

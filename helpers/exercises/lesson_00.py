"""Exercises of the tour: three of the road's, with its checks."""

from helpers.exercises import lesson_02, lesson_03, lesson_05

check_channel_sum = lesson_02.check_channel_sum
check_resample = lesson_03.check_resample
check_find_leaks = lesson_05.check_find_leaks

MISTAKES = {
    "channel_sum": lesson_02.MISTAKES["channel_sum"],
    "resample": lesson_03.MISTAKES["resample"],
    "find_leaks": lesson_05.MISTAKES["find_leaks"],
}

"""Right answers in several spellings, for the tests of the exercises."""

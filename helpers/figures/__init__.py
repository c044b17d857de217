"""The drawings that would fill a lesson's cells: each takes data and mostly an `Axes`, and returns the `Figure`.

The colours are those of Okabe and Ito, told apart by colour-blind readers and in print; line styles differ as well.
The same thing has the same colour in all lessons. One module a lesson; a lesson calls them all as `figures.plot_...`.
"""

from helpers.figures.fine_tuning import plot_rates, plot_training
from helpers.figures.heads import plot_folds, plot_map, plot_two_heads
from helpers.figures.how_sure import plot_calibration, plot_differences, plot_learning_curve, plot_starts
from helpers.figures.patches import plot_coverage, plot_filters
from helpers.figures.positions import plot_resampled, plot_similarity
from helpers.figures.shared import COLORS, LEVEL_MAP, SIGNED_MAP, SIMILARITY_MAP, new_axes, plot_log_mel, plot_pictures
from helpers.figures.spectrograms import plot_standardized, plot_tones_and_clicks

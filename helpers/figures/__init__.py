"""The drawings that would fill a lesson's cells: each takes data and returns the `Figure`.

The colours are those of Okabe and Ito, told apart by colour-blind readers and in print; line styles differ as well.
The same thing has the same colour in all lessons. One module a lesson; a lesson calls them all as `figures.plot_...`.
"""

from helpers.figures.fine_tuning import (
    plot_confusion,
    plot_draws,
    plot_first_update,
    plot_rate_settings,
    plot_rates,
    plot_starts,
    plot_training,
)
from helpers.figures.heads import (
    photograph_names,
    plot_answers,
    plot_blend,
    plot_blends,
    plot_fates,
    plot_first_losses,
    plot_folds,
    plot_losses,
    plot_map,
    plot_maps,
    plot_token_cosines,
    plot_two_heads,
)
from helpers.figures.how_sure import (
    plot_attention,
    plot_best_of,
    plot_calibration,
    plot_epochs,
    plot_holding,
    plot_intervals,
    plot_leaks,
    plot_learning_curve,
    plot_seeds,
    plot_worth,
)
from helpers.figures.own_sounds import plot_false_alarms, plot_inspection, plot_splits, plot_timeline
from helpers.figures.patches import (
    photograph,
    plot_added_colours,
    plot_agreement,
    plot_border,
    plot_changes,
    plot_coverage,
    plot_energy_kept,
    plot_filters,
    plot_reach,
    plot_stems,
    plot_token_lengths,
    plot_tokens,
)
from helpers.figures.positions import (
    plot_components,
    plot_kept_lines,
    plot_place,
    plot_probes,
    plot_resampled,
    plot_similarity,
    plot_steps,
    plot_tables,
    plot_tile,
    plot_trap,
)
from helpers.figures.shared import COLORS, LEVEL_MAP, SIGNED_MAP, SIMILARITY_MAP, new_axes, plot_log_mel, plot_pictures
from helpers.figures.spectrograms import (
    plot_augmentations,
    plot_changed,
    plot_empty_filters,
    plot_leakage,
    plot_levels,
    plot_sound,
    plot_sweeps,
    plot_triangles,
    plot_windows,
)

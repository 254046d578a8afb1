"""Metrics of masks: J, F and their statistics, and the IoU of photos.

`evaluate.load("evaluation/metrics/j_and_f")` and `.../mask_iou` are the same as modules of the
library `evaluate`.
"""

from .frames import (
    MaskAccuracy,
    boundary_map,
    boundary_radius,
    contour_accuracy,
    region_similarity,
    score_frame,
    score_labels,
)
from .masklets import MaskletScore, MaskletValues, Summary, mean_score, score_masklet, summarize
from .sequences import ScoringRules, SequenceScorer, score_sequence

__all__ = [
    "MaskAccuracy",
    "MaskletScore",
    "MaskletValues",
    "ScoringRules",
    "SequenceScorer",
    "Summary",
    "boundary_map",
    "boundary_radius",
    "contour_accuracy",
    "mean_score",
    "region_similarity",
    "score_frame",
    "score_labels",
    "score_masklet",
    "score_sequence",
    "summarize",
]

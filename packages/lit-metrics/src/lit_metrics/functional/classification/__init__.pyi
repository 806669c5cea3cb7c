from lit_metrics.functional.classification.accuracy import accuracy as accuracy
from lit_metrics.functional.classification.accuracy import binary_accuracy as binary_accuracy
from lit_metrics.functional.classification.accuracy import binary_hamming_distance as binary_hamming_distance
from lit_metrics.functional.classification.accuracy import hamming_distance as hamming_distance
from lit_metrics.functional.classification.accuracy import multiclass_accuracy as multiclass_accuracy
from lit_metrics.functional.classification.accuracy import multiclass_hamming_distance as multiclass_hamming_distance
from lit_metrics.functional.classification.accuracy import multilabel_accuracy as multilabel_accuracy
from lit_metrics.functional.classification.accuracy import multilabel_hamming_distance as multilabel_hamming_distance
from lit_metrics.functional.classification.agreement import binary_cohen_kappa as binary_cohen_kappa
from lit_metrics.functional.classification.agreement import binary_matthews_corrcoef as binary_matthews_corrcoef
from lit_metrics.functional.classification.agreement import cohen_kappa as cohen_kappa
from lit_metrics.functional.classification.agreement import matthews_corrcoef as matthews_corrcoef
from lit_metrics.functional.classification.agreement import multiclass_cohen_kappa as multiclass_cohen_kappa
from lit_metrics.functional.classification.agreement import multiclass_matthews_corrcoef as multiclass_matthews_corrcoef
from lit_metrics.functional.classification.agreement import multilabel_matthews_corrcoef as multilabel_matthews_corrcoef
from lit_metrics.functional.classification.auroc import auc as auc
from lit_metrics.functional.classification.auroc import auroc as auroc
from lit_metrics.functional.classification.auroc import binary_auroc as binary_auroc
from lit_metrics.functional.classification.auroc import multiclass_auroc as multiclass_auroc
from lit_metrics.functional.classification.auroc import multilabel_auroc as multilabel_auroc
from lit_metrics.functional.classification.average_precision import average_precision as average_precision
from lit_metrics.functional.classification.average_precision import binary_average_precision as binary_average_precision
from lit_metrics.functional.classification.average_precision import (
    multiclass_average_precision as multiclass_average_precision,
)
from lit_metrics.functional.classification.average_precision import (
    multilabel_average_precision as multilabel_average_precision,
)
from lit_metrics.functional.classification.calibration_error import binary_calibration_error as binary_calibration_error
from lit_metrics.functional.classification.calibration_error import calibration_error as calibration_error
from lit_metrics.functional.classification.calibration_error import (
    multiclass_calibration_error as multiclass_calibration_error,
)
from lit_metrics.functional.classification.confusion_matrix import binary_confusion_matrix as binary_confusion_matrix
from lit_metrics.functional.classification.confusion_matrix import confusion_matrix as confusion_matrix
from lit_metrics.functional.classification.confusion_matrix import (
    multiclass_confusion_matrix as multiclass_confusion_matrix,
)
from lit_metrics.functional.classification.confusion_matrix import (
    multilabel_confusion_matrix as multilabel_confusion_matrix,
)
from lit_metrics.functional.classification.eer import binary_eer as binary_eer
from lit_metrics.functional.classification.eer import binary_logauc as binary_logauc
from lit_metrics.functional.classification.eer import eer as eer
from lit_metrics.functional.classification.eer import logauc as logauc
from lit_metrics.functional.classification.eer import multiclass_eer as multiclass_eer
from lit_metrics.functional.classification.eer import multiclass_logauc as multiclass_logauc
from lit_metrics.functional.classification.eer import multilabel_eer as multilabel_eer
from lit_metrics.functional.classification.eer import multilabel_logauc as multilabel_logauc
from lit_metrics.functional.classification.exact_match import exact_match as exact_match
from lit_metrics.functional.classification.exact_match import multiclass_exact_match as multiclass_exact_match
from lit_metrics.functional.classification.exact_match import multilabel_exact_match as multilabel_exact_match
from lit_metrics.functional.classification.fairness import binary_fairness as binary_fairness
from lit_metrics.functional.classification.fairness import binary_groups_stat_rates as binary_groups_stat_rates
from lit_metrics.functional.classification.fairness import demographic_parity as demographic_parity
from lit_metrics.functional.classification.fairness import equal_opportunity as equal_opportunity
from lit_metrics.functional.classification.fbeta import binary_f1_score as binary_f1_score
from lit_metrics.functional.classification.fbeta import binary_fbeta_score as binary_fbeta_score
from lit_metrics.functional.classification.fbeta import f1_score as f1_score
from lit_metrics.functional.classification.fbeta import fbeta_score as fbeta_score
from lit_metrics.functional.classification.fbeta import multiclass_f1_score as multiclass_f1_score
from lit_metrics.functional.classification.fbeta import multiclass_fbeta_score as multiclass_fbeta_score
from lit_metrics.functional.classification.fbeta import multilabel_f1_score as multilabel_f1_score
from lit_metrics.functional.classification.fbeta import multilabel_fbeta_score as multilabel_fbeta_score
from lit_metrics.functional.classification.hinge_loss import binary_hinge_loss as binary_hinge_loss
from lit_metrics.functional.classification.hinge_loss import hinge_loss as hinge_loss
from lit_metrics.functional.classification.hinge_loss import multiclass_hinge_loss as multiclass_hinge_loss
from lit_metrics.functional.classification.jaccard_index import binary_jaccard_index as binary_jaccard_index
from lit_metrics.functional.classification.jaccard_index import jaccard_index as jaccard_index
from lit_metrics.functional.classification.jaccard_index import multiclass_jaccard_index as multiclass_jaccard_index
from lit_metrics.functional.classification.jaccard_index import multilabel_jaccard_index as multilabel_jaccard_index
from lit_metrics.functional.classification.label_ranking import multilabel_coverage_error as multilabel_coverage_error
from lit_metrics.functional.classification.label_ranking import (
    multilabel_ranking_average_precision as multilabel_ranking_average_precision,
)
from lit_metrics.functional.classification.label_ranking import multilabel_ranking_loss as multilabel_ranking_loss
from lit_metrics.functional.classification.legacy import iou as iou
from lit_metrics.functional.classification.legacy import precision_recall as precision_recall
from lit_metrics.functional.classification.legacy import stat_scores_multiple_classes as stat_scores_multiple_classes
from lit_metrics.functional.classification.legacy import to_categorical as to_categorical
from lit_metrics.functional.classification.legacy import to_onehot as to_onehot
from lit_metrics.functional.classification.log_loss import brier_score as brier_score
from lit_metrics.functional.classification.log_loss import log_loss as log_loss
from lit_metrics.functional.classification.operating_points import (
    binary_precision_at_fixed_recall as binary_precision_at_fixed_recall,
)
from lit_metrics.functional.classification.operating_points import (
    binary_recall_at_fixed_precision as binary_recall_at_fixed_precision,
)
from lit_metrics.functional.classification.operating_points import (
    binary_sensitivity_at_specificity as binary_sensitivity_at_specificity,
)
from lit_metrics.functional.classification.operating_points import (
    binary_specificity_at_sensitivity as binary_specificity_at_sensitivity,
)
from lit_metrics.functional.classification.operating_points import (
    multiclass_precision_at_fixed_recall as multiclass_precision_at_fixed_recall,
)
from lit_metrics.functional.classification.operating_points import (
    multiclass_recall_at_fixed_precision as multiclass_recall_at_fixed_precision,
)
from lit_metrics.functional.classification.operating_points import (
    multiclass_sensitivity_at_specificity as multiclass_sensitivity_at_specificity,
)
from lit_metrics.functional.classification.operating_points import (
    multiclass_specificity_at_sensitivity as multiclass_specificity_at_sensitivity,
)
from lit_metrics.functional.classification.operating_points import (
    multilabel_precision_at_fixed_recall as multilabel_precision_at_fixed_recall,
)
from lit_metrics.functional.classification.operating_points import (
    multilabel_recall_at_fixed_precision as multilabel_recall_at_fixed_precision,
)
from lit_metrics.functional.classification.operating_points import (
    multilabel_sensitivity_at_specificity as multilabel_sensitivity_at_specificity,
)
from lit_metrics.functional.classification.operating_points import (
    multilabel_specificity_at_sensitivity as multilabel_specificity_at_sensitivity,
)
from lit_metrics.functional.classification.operating_points import (
    precision_at_fixed_recall as precision_at_fixed_recall,
)
from lit_metrics.functional.classification.operating_points import (
    recall_at_fixed_precision as recall_at_fixed_precision,
)
from lit_metrics.functional.classification.operating_points import (
    sensitivity_at_specificity as sensitivity_at_specificity,
)
from lit_metrics.functional.classification.operating_points import (
    specificity_at_sensitivity as specificity_at_sensitivity,
)
from lit_metrics.functional.classification.precision import (
    binary_negative_predictive_value as binary_negative_predictive_value,
)
from lit_metrics.functional.classification.precision import binary_precision as binary_precision
from lit_metrics.functional.classification.precision import (
    multiclass_negative_predictive_value as multiclass_negative_predictive_value,
)
from lit_metrics.functional.classification.precision import multiclass_precision as multiclass_precision
from lit_metrics.functional.classification.precision import (
    multilabel_negative_predictive_value as multilabel_negative_predictive_value,
)
from lit_metrics.functional.classification.precision import multilabel_precision as multilabel_precision
from lit_metrics.functional.classification.precision import negative_predictive_value as negative_predictive_value
from lit_metrics.functional.classification.precision import precision as precision
from lit_metrics.functional.classification.precision_recall_curve import (
    binary_precision_recall_curve as binary_precision_recall_curve,
)
from lit_metrics.functional.classification.precision_recall_curve import (
    multiclass_precision_recall_curve as multiclass_precision_recall_curve,
)
from lit_metrics.functional.classification.precision_recall_curve import (
    multilabel_precision_recall_curve as multilabel_precision_recall_curve,
)
from lit_metrics.functional.classification.precision_recall_curve import (
    precision_recall_curve as precision_recall_curve,
)
from lit_metrics.functional.classification.recall import binary_recall as binary_recall
from lit_metrics.functional.classification.recall import binary_specificity as binary_specificity
from lit_metrics.functional.classification.recall import multiclass_recall as multiclass_recall
from lit_metrics.functional.classification.recall import multiclass_specificity as multiclass_specificity
from lit_metrics.functional.classification.recall import multilabel_recall as multilabel_recall
from lit_metrics.functional.classification.recall import multilabel_specificity as multilabel_specificity
from lit_metrics.functional.classification.recall import recall as recall
from lit_metrics.functional.classification.recall import specificity as specificity
from lit_metrics.functional.classification.roc import binary_roc as binary_roc
from lit_metrics.functional.classification.roc import multiclass_roc as multiclass_roc
from lit_metrics.functional.classification.roc import multilabel_roc as multilabel_roc
from lit_metrics.functional.classification.roc import roc as roc
from lit_metrics.functional.classification.stat_scores import binary_stat_scores as binary_stat_scores
from lit_metrics.functional.classification.stat_scores import multiclass_stat_scores as multiclass_stat_scores
from lit_metrics.functional.classification.stat_scores import multilabel_stat_scores as multilabel_stat_scores
from lit_metrics.functional.classification.stat_scores import stat_scores as stat_scores
from lit_metrics.functional.reduction import class_reduce as class_reduce
from lit_metrics.functional.reduction import reduce as reduce

from lit_metrics.segmentation.hausdorff_distance import HausdorffDistance as HausdorffDistance
from lit_metrics.segmentation.overlap import DiceScore as DiceScore
from lit_metrics.segmentation.overlap import GeneralizedDiceScore as GeneralizedDiceScore
from lit_metrics.segmentation.overlap import MeanIoU as MeanIoU

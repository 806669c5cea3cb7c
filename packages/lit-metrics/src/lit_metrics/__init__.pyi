from lit_metrics import functional as functional
from lit_metrics import testing as testing
from lit_metrics.__about__ import __version__ as __version__
from lit_metrics.aggregation import CatMetric as CatMetric
from lit_metrics.aggregation import MaxMetric as MaxMetric
from lit_metrics.aggregation import MeanMetric as MeanMetric
from lit_metrics.aggregation import MinMetric as MinMetric
from lit_metrics.aggregation import SumMetric as SumMetric
from lit_metrics.audio import *
from lit_metrics.classification import *
from lit_metrics.clustering import *
from lit_metrics.collection import MetricCollection as MetricCollection
from lit_metrics.compositional import CompositionalMetric as CompositionalMetric
from lit_metrics.detection import *
from lit_metrics.image import *
from lit_metrics.metric import Metric as Metric
from lit_metrics.nominal import *
from lit_metrics.plotting import plot as plot
from lit_metrics.regression import *
from lit_metrics.retrieval import *
from lit_metrics.segmentation import *
from lit_metrics.shape import *
from lit_metrics.statistics import Interval as Interval
from lit_metrics.statistics import delong_interval as delong_interval
from lit_metrics.statistics import ratio_interval as ratio_interval
from lit_metrics.statistics import wilson_interval as wilson_interval
from lit_metrics.text import *
from lit_metrics.wrappers import *

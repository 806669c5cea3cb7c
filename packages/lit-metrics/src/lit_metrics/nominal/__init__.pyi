from lit_metrics.nominal.association import CramersV as CramersV
from lit_metrics.nominal.association import PearsonsContingencyCoefficient as PearsonsContingencyCoefficient
from lit_metrics.nominal.association import TheilsU as TheilsU
from lit_metrics.nominal.association import TschuprowsT as TschuprowsT
from lit_metrics.nominal.fleiss_kappa import FleissKappa as FleissKappa

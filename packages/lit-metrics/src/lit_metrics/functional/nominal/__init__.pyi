from lit_metrics.functional.nominal.association import cramers_v as cramers_v
from lit_metrics.functional.nominal.association import cramers_v_matrix as cramers_v_matrix
from lit_metrics.functional.nominal.association import (
    pearsons_contingency_coefficient as pearsons_contingency_coefficient,
)
from lit_metrics.functional.nominal.association import (
    pearsons_contingency_coefficient_matrix as pearsons_contingency_coefficient_matrix,
)
from lit_metrics.functional.nominal.association import theils_u as theils_u
from lit_metrics.functional.nominal.association import theils_u_matrix as theils_u_matrix
from lit_metrics.functional.nominal.association import tschuprows_t as tschuprows_t
from lit_metrics.functional.nominal.association import tschuprows_t_matrix as tschuprows_t_matrix
from lit_metrics.functional.nominal.fleiss_kappa import fleiss_kappa as fleiss_kappa

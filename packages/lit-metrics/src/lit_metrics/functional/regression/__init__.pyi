from lit_metrics.functional.regression.mean_squared_error import mean_squared_error as mean_squared_error
from lit_metrics.functional.regression.mean_squared_error import mse as mse
from lit_metrics.functional.regression.mean_squared_error import rmse as rmse

"""Classification kernels and functions."""

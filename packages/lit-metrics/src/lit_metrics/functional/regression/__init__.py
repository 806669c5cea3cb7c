"""Regression kernels and functions."""

"""Regression metrics as classes."""

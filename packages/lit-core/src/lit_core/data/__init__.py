"""Batches: where they come from, how they move."""

"""The loops: free functions; each docstring is the pseudo-code of its function."""

"""Classification metrics as classes."""

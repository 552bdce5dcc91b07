"""What can be said of cached answers without input or output: keys, control, completeness, and what is too alike."""

"""`tollway login` and `logout`: a person's own tokens instead of the administrator's."""

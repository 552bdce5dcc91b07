"""Answers that are given again: the exact cache, calls that identical requests share, and the cache by meaning."""

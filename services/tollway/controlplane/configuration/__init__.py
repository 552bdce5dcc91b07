"""Declarative configuration: a document, a plan, and its execution."""

"""The configuration file: its declaration, its parser and its JSON Schema."""

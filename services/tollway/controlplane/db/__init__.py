"""The database of the control plane: its schema, its connections and how statements are loaded."""

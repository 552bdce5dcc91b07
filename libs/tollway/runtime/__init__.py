"""What every process needs and that knows nothing of models: settings, life cycle, tasks, clock, logs, health."""

"""What every process of Tollway needs and that knows nothing of models: settings, life cycle, tasks, clock, logs, health."""

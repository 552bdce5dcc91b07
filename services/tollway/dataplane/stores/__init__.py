"""Where a data plane keeps what outlives a process: the key directory and the last catalog."""

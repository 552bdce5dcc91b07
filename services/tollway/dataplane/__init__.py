"""The data plane: takes clients' requests to the models, stateless, without the database."""

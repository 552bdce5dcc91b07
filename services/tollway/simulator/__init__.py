"""The simulator: stands in for the providers in demonstrations, tests and benchmarks."""

"""Putting cases to a submission's containers: clean and stressed, in one order, each ending written down."""

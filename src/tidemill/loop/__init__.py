"""The circle as named use cases: the one Python API behind every face."""

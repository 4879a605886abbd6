"""What every HTTP server of the package shares: limits, who may ask, the shape of an error. Knows no data and no model."""

"""HTTP answers and the prediction log. One server process serves one release in one environment."""

"""What every program over HTTP shares: problem details, health and metrics, and what holds for each request."""

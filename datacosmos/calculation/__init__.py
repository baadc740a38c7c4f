"""The Calculation service: averages, sums, metrics and forecasts of stored series, and the client that asks it."""

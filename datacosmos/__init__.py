"""DataCosmos takes in readings, judges them, keeps every one, and answers questions about them."""

__version__ = "0.2.0"

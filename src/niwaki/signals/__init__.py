"""Model, batches and loss to signals."""

"""Closing many customers: asked over a filtered list, done by a job, customer by customer, with progress."""

"""The use cases of batchgen and the open run folder they share."""

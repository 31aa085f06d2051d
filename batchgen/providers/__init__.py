"""Who makes the pictures: one module a provider, all speaking the words of `contract`."""

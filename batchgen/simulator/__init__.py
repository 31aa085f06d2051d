"""The embedded server: a local double of the provider, with its own wallet, queue, faults and ledger.

Nothing in here talks to anything but loopback, and nothing outside of here imports it except the commands that
start it: a run reaches it over HTTP, like the real one.
"""

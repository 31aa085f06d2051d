"""The page: what a run did, what it cost, what failed and why, and above all its pictures.

`write` makes it a file that needs no network; `live` serves the same page while the run goes on.
"""

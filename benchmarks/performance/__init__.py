"""`make bench`: speed and memory of PatchCoreDual and of its peers, each on the same images.

One file per thing that is measured; `__main__.py` is the command, `cases.py` says what is run.
"""

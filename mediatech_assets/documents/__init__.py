"""Documents: from the members of upstream files to rows of the lake.

What belongs here: the document model, shared parsing, folds, snapshots and quarantine. What does not: the parser of any
one dataset.
"""

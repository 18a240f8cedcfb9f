"""Releases: immutable, checksummed snapshots of a dataset in the published form.

What belongs here: Parquet in the published layout, the card, the manifest, and the identity of a release.
What does not: publication to anyone.
"""

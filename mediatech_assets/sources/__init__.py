"""Talking to upstream hosts: what they list, and fetching it.

What belongs here: listings, conditional requests, downloads with resume and verification of length. What
does not: where files are kept and whether they can be read (`raw/`), or what is in them.
"""

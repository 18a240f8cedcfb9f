"""Measured speeds, each module one table. Never run by the tests: a timing says nothing on a busy machine."""

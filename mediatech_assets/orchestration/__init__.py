"""Dagster: the stages as assets, their resource, jobs and instance. The only package that imports Dagster.

What belongs here: turning stages and datasets into definitions, and running them. What does not: the work.
"""

"""Doubles of remote services: small HTTP servers that speak a service's protocol to its real client.

What belongs here: one module a service, with faults on demand. What does not: tests.
"""

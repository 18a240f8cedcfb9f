"""Tests in a real browser: what people look at is looked at."""

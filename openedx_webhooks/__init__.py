"""Webhooks, webfilters and signed enrollment orders for Open edX."""

__version__ = "23.0.0"

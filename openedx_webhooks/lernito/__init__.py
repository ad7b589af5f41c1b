"""Signed enrollment orders from outside: ``POST /api/lernito/webhook/``."""

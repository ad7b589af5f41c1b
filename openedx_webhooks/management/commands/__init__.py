"""``manage.py webhooks_*``."""

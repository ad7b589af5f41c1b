"""Django system checks; all Warnings, because an Error would stop ``migrate``."""

"""What the plugin mechanism calls while the platform's settings load, one module per settings type."""

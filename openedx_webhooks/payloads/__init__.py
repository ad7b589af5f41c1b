"""What goes over the wire: events and filter arguments as plain values, then as bytes of a format.

``objects`` walks values, ``events`` one event, ``formats`` writes bodies (``flattening`` for forms,
``truncation`` for what is too large), ``redaction`` keeps credentials in, ``schema`` and ``samples`` describe.
"""

"""What goes over the wire: events and filter arguments as plain values, then as bytes of a format.

``objects`` walks values (``fields`` and ``keys`` for what is inside them), ``events`` one event, ``formats`` writes
bodies (``flattening`` for forms, ``truncation`` for what is too large), ``redaction`` keeps credentials in,
``schema`` and ``samples`` describe (``types`` reads annotations for both).
"""

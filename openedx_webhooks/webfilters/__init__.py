"""Webfilters: ask another system first, inside the learner's request, bounded in time and in what it may do.

``step`` is what the platform runs, ``calls`` one run of it: ``exchange`` asks, ``replies`` reads what comes back,
``verdicts`` judges it. ``applying`` changes arguments (``changes``, ``objects``) and accounts (``accounts``),
``halting`` builds the filter's own exceptions, ``record`` and ``masking`` remember.
"""

"""Webfilters: ask another system first, inside the learner's request, bounded in time and in what it may do.

``step`` is what the platform runs, ``exchange`` asks, ``replies`` reads what comes back, ``changes`` and
``accounts`` apply it, ``halting`` builds the filter's own exceptions, ``record`` remembers.
"""

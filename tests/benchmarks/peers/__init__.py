"""The packages that we compare ourselves with, each in an environment of its own, driven by what it documents."""

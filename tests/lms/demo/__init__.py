"""The demo: the stand-in LMS with pages, a webhook for every event, and an inbox that shows what arrives."""

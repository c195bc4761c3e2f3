"""A report on one network as a single HTML page that needs nothing beside it."""

from .page import report_html, write_report

__all__ = ["report_html", "write_report"]

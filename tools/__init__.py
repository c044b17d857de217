"""Tools for those who work on the series: run as `python -m tools.<name>` from the project's folder."""

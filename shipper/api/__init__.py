"""Answers over HTTP: the API, the page, health and metrics."""

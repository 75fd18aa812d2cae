"""Centralised logging for a Mesos cluster: from rsyslog over RELP to a searchable store."""

__version__ = "0.1.0"

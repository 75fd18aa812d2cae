"""Puts things on the cluster: apps and jobs with a way back, and HAProxy's file on every host."""

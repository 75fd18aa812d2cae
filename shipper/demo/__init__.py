"""The whole product in one process, with live sample traffic: `shipper demo`."""

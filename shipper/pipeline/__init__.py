"""Drives records from the sources to the store: intake → buffer → deliver → ledger → receipts."""

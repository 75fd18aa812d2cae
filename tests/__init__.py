"""The tests of shipper: unit, contract, integration, end to end; and the real servers they use."""

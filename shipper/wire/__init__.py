"""Bytes ⇄ frames. No sockets, no clocks: every rule of a protocol can be tested with bytes."""

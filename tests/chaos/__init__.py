"""What a host promises, counted while its parts are killed, stopped, suspended and starved: `make chaos`."""

"""What runs on every host: the sockets that programs write to, and the way of each record into rsyslogd.

`holder` owns the sockets and starts the others, `reader` numbers what containers write, `tailer` reads files. Only the
standard library, orjson and the light modules of shipper are imported here: three small processes on every machine.
"""

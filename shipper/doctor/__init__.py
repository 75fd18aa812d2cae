"""What is wrong with logging on a host, and what to do: checks that only look, but for one record of their own.

    findings              name, verdict, what was found, what to do
    examine               the checks in their order, each with a limit in time
    containers, hearing   which containers there are, and whether what they write is read
    reach, certificates   the way to the shipper
    canary                one record, followed from a container's socket to the store

Nothing here is imported from `shipper.host`: its settings and its state are passed in.
"""

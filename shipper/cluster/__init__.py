"""What runs on the cluster, asked over HTTP: Marathon, Mesos and Chronos. Clients only; they decide nothing."""

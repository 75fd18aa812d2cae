"""Questions and answers, words and ledger arithmetic: what every store must agree on. No I/O."""

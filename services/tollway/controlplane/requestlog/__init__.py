"""The request log: bodies of requests and answers, apart from the ledger, with their own retention."""

"""The price book with its history: prices with validity dates, what was published when, and re-rating."""

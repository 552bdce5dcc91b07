"""Stand-ins for ports of the product, with the same behaviour and nothing behind them."""

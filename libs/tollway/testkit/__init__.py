"""What the tests share: real servers and processes, recorded traffic, fakes. Never shipped."""

"""Sign-in: the issuers that are trusted, tokens and sessions of callers, and the pages that people sign in with."""

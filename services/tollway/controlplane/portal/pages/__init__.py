"""The pages of the portal: each takes a visit, calls methods of the API, and fills a template."""

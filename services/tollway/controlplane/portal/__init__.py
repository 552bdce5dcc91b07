"""The portal: pages for people, made on the server, over the same methods as the API."""

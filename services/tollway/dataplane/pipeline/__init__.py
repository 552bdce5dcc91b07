"""What happens to a request, stage by stage; `order` is the list."""

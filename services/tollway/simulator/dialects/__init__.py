"""The providers' wire formats, each in its own file, as their documentation and recorded answers have them."""

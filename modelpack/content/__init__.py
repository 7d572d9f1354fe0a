"""What every store of content can do, and the one copy between any two of them."""

"""Many products: a table that lists them, fitting each, and the page that reports on all."""

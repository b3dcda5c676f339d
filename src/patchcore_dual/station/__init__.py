"""The inspection station: a service, its log, and the page on which an operator teaches."""

"""The station over HTTP."""

"""The steps, each named by the number of the schema that it leads to."""

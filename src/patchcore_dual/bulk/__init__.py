"""Inspecting any number of images into a folder of results, on one machine or many."""

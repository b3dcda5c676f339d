"""The routes of the station, by what they are about."""

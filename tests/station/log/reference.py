"""What a query chooses, the slow and obvious way."""


def chosen_by(query, record):
    """Whether a query chooses a record."""
    boxes = [(r["x"], r["y"], r["x"] + r["width"], r["y"] + r["height"]) for r in record.regions]
    if query.region is not None:
        x, y, width, height = query.region
        touching = [
            box
            for box in boxes
            if box[0] < x + width and box[2] > x and box[1] < y + height and box[3] > y
        ]
        if not touching:
            return False
    return (
        query.model in (None, record.model)
        and (not query.verdict or record.verdict in query.verdict)
        and query.review in (None, record.review)
        and (query.since is None or record.at >= query.since)
        and (query.until is None or record.at < query.until)
        and (query.min_score is None or record.score >= query.min_score)
        and (query.max_score is None or record.score <= query.max_score)
        and (query.name or "").casefold() in record.name.casefold()
        and query.has_region in (None, bool(record.regions))
    )

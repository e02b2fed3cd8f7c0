"""Charts drawn by hand: data in, SVG out."""

"""From output links to whole, verified files in the row's folder."""

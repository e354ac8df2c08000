"""Pages of HTML that need nothing beside them: one style, tables, and charts as SVG in the page."""

"""Review of a labeled set: what lies before a visitor, and the tab that shows it."""

"""What the lessons import: one module for each lesson, and a few that they share."""

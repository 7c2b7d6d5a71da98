"""Training and evaluation: recipes, objectives, the loop."""

"""What a recipe says: YAML in, a checked and frozen `Recipe` out."""

"""How many units stay, and therefore which."""

"""How the tools and the workers are doing."""

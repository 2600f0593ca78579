"""PostgreSQL: the only source of truth. Import what you need from the modules."""

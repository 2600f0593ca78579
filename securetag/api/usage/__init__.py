"""What a tenant has used of its quotas."""

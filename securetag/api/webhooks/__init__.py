"""Where a tenant's events are sent: webhooks, their messages, and the sender."""

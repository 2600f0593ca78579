"""Records → questions and answers: from templates, and from a teacher model that is checked."""

"""Rows from Records: questions from templates or a checked teacher model, and fixes of real projects."""

"""The words of project files: one table per noun, from which reader and JSON Schema both come."""

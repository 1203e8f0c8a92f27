"""Workflow templates: a saved DAG as YAML. Text -> tree -> template; `engine` compiles it."""

"""The live view: follow a deployment, turn it into values, draw them or say what changed."""

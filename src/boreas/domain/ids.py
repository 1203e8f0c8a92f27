"""Ids as types, so that a target can never stand where an agent is meant."""

from typing import NewType

ProjectId = NewType("ProjectId", str)
ApplicationId = NewType("ApplicationId", str)
EnvironmentId = NewType("EnvironmentId", str)
TargetId = NewType("TargetId", str)
AgentId = NewType("AgentId", str)
VersionId = NewType("VersionId", str)
DeploymentId = NewType("DeploymentId", str)
ReleaseId = NewType("ReleaseId", str)
TaskId = NewType("TaskId", str)
"""Unique inside one deployment only."""
ExecutionId = NewType("ExecutionId", str)
OrderId = NewType("OrderId", str)
UserId = NewType("UserId", str)
ServerId = NewType("ServerId", str)

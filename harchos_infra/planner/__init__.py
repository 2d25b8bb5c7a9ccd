"""When and where a workload should run: a pure function of its inputs."""

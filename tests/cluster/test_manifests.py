"""The manifests of docs/many-machines.md by the schemas of Kubernetes. KubeRay's own is in no package; of its
job the pods are looked at here, and what else it requires in tests/it/scheduling.rs."""

import re

import kubernetes_validate
import nodes
import yaml

BLOCKS = re.findall(r"```yaml\n(.*?)```", (nodes.ROOT / "docs/many-machines.md").read_text(), re.DOTALL)
VERSION = "1.31"


def test_jobs_are_jobs():
    jobs = [yaml.safe_load(block) for block in BLOCKS]
    jobs = [job for job in jobs if job.get("apiVersion") == "batch/v1"]
    assert [job["metadata"]["name"] for job in jobs] == ["aqlens-shares", "aqlens-finish"]
    for job in jobs:
        kubernetes_validate.validate(job, VERSION, strict=True)


def test_the_pods_of_the_ray_job_are_pods():
    (job,) = [job for job in map(yaml.safe_load, BLOCKS) if job.get("kind") == "RayJob"]
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **group["template"]}
        kubernetes_validate.validate(pod, VERSION, strict=True)

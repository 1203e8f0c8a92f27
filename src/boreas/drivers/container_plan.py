"""What a container of an application shall look like, and what the ones that are there mean.

Pure: values in, values out. `container.py` does what follows from it with a Docker Engine.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from boreas.domain.orders import HealthCheck, OrderBody, ProbeKind, ReleaseBody
from boreas.domain.specs import ContainerSpec, PortMapping

LABEL: Final = "boreas"
# Long enough that two releases of one application never share it.
_SUFFIX_LENGTH: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenContainer:
    """One container as the engine describes it now."""

    id: str
    name: str
    release_id: str
    version: str = ""
    state: str = "created"
    exit_code: int = 0
    restarts: int = 0
    health: str | None = None
    """Docker's own word, None when the image has no health check."""
    image: str = ""
    image_id: str = ""
    created: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The parts of its configuration that somebody might have changed, by a word for people."""
    networks: Mapping[str, str] = field(default_factory=dict)
    """Network name -> address in it."""
    published: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    """Container port -> where the host listens for it."""

    @property
    def is_running(self) -> bool:
        return self.state == "running"


def scope_labels(order: OrderBody) -> dict[str, str]:
    """What all containers of this application on this target have in common, and no others."""
    application = order.release.application_id if order.release else ""
    return {f"{LABEL}.application": application, f"{LABEL}.target": order.target_id}


def labels(order: OrderBody, release: ReleaseBody) -> dict[str, str]:
    """Everything that tells people and later orders where a container comes from."""
    return {
        **scope_labels(order),
        f"{LABEL}.application.name": release.application,
        f"{LABEL}.project": order.project_id,
        f"{LABEL}.environment": order.environment_id,
        f"{LABEL}.release": release.release_id,
        f"{LABEL}.version": release.version,
        f"{LABEL}.deployment": order.deployment_id,
    }


def name_beside(name: str, release_id: str) -> str:
    """What a container is called while another one is live; the live one has the plain name."""
    # All of the id must count: ids of one application's releases may end alike.
    return f"{name}.{sha256(release_id.encode()).hexdigest()[:_SUFFIX_LENGTH]}"


def of_release(seen: Iterable[SeenContainer], release_id: str) -> SeenContainer | None:
    """The container of a release; the newest if a killed agent left several."""
    mine = [one for one in seen if one.release_id == release_id]
    return max(mine, key=lambda one: one.created, default=None)


def live_one(seen: Iterable[SeenContainer], name: str) -> SeenContainer | None:
    """The container that has the application's plain name."""
    return next((one for one in seen if one.name == name), None)


def environment(
    order: OrderBody, release: ReleaseBody, spec: ContainerSpec, secrets: Mapping[str, str]
) -> dict[str, str]:
    """The order's variables, the application's own `env`, and which version this is."""
    return {
        **order.variables,
        **secrets,
        **spec.env,
        "BOREAS_PROJECT": order.project,
        "BOREAS_APPLICATION": release.application,
        "BOREAS_ENVIRONMENT": order.environment,
        "BOREAS_TARGET": order.target,
        "BOREAS_VERSION": release.version,
    }


def published_ports(spec: ContainerSpec, *, proxy_port: int | None) -> tuple[PortMapping, ...]:
    """Which ports the container itself publishes.

    Behind a proxy the host ports of `ports` are the proxy's; the container listens on `proxy_port`
    of the loopback instead: a fixed one, because the engine would pick another at every restart and
    the proxy would go on asking the old one.
    """
    if spec.proxy is None or proxy_port is None:
        return spec.ports
    inner = proxied_port(spec)
    own = PortMapping(container_port=inner, host_port=proxy_port, host_ip="127.0.0.1")
    others = (
        PortMapping(container_port=port.container_port, protocol=port.protocol)
        for port in spec.ports
        if port.container_port != inner
    )
    return (own, *others)


def proxied_port(spec: ContainerSpec) -> int:
    """The container's port that the proxy sends requests to."""
    if spec.proxy is not None and spec.proxy.port is not None:
        return spec.proxy.port
    return spec.ports[0].container_port


def container_config(
    order: OrderBody,
    release: ReleaseBody,
    spec: ContainerSpec,
    *,
    image: str,
    proxy_port: int | None,
    secrets: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The engine's own document for creating the container."""
    ports = published_ports(spec, proxy_port=proxy_port)
    variables = environment(order, release, spec, secrets or {})
    config: dict[str, Any] = {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": labels(order, release),
        "ExposedPorts": {_port_key(port): {} for port in ports},
        "HostConfig": {
            "Binds": list(spec.volumes),
            "PortBindings": {_port_key(port): [_binding(port)] for port in ports},
            # Back after a reboot of the node, but not after Boreas stopped it.
            "RestartPolicy": {"Name": "unless-stopped"},
        },
    }
    if spec.command is not None:
        config["Cmd"] = list(spec.command)
    if spec.networks:
        config["HostConfig"]["NetworkMode"] = spec.networks[0]
    return config


def _port_key(port: PortMapping) -> str:
    return f"{port.container_port}/{port.protocol}"


def _binding(port: PortMapping) -> dict[str, str]:
    return {"HostIp": port.host_ip, "HostPort": str(port.host_port or "")}


def address_of(container: SeenContainer, inner: int) -> tuple[str, int] | None:
    """Where this very container answers on one of its ports: published, or in its own network."""
    if inner in container.published:
        return container.published[inner]
    addresses = [address for address in container.networks.values() if address]
    return (addresses[0], inner) if addresses else None


def port_to_check(check: HealthCheck, spec: ContainerSpec) -> int | None:
    """Which port of the container a health check means, given the address people wrote."""
    if check.type is ProbeKind.TCP:
        asked = check.port
    elif check.type is ProbeKind.HTTP:
        parts = urlsplit(check.url or "")
        asked = parts.port or (443 if parts.scheme == "https" else 80)
    else:
        asked = None
    for port in spec.ports:
        if asked is not None and asked in (port.host_port, port.container_port):
            return port.container_port
    if spec.proxy is not None or spec.ports:
        return proxied_port(spec)
    return asked


def asks_the_container(spec: ContainerSpec) -> bool:
    """Must the live version be asked at its own address? Yes where no lasting address is known."""
    return spec.proxy is None and not spec.fixed_ports


def seen_from(document: Mapping[str, Any]) -> SeenContainer:
    """What `GET /containers/<id>/json` says, as a value."""
    state, network = document["State"], document.get("NetworkSettings", {})
    label = document["Config"].get("Labels") or {}
    return SeenContainer(
        id=document["Id"],
        name=document["Name"].removeprefix("/"),
        release_id=label.get(f"{LABEL}.release", ""),
        version=label.get(f"{LABEL}.version", ""),
        state=state.get("Status", ""),
        exit_code=state.get("ExitCode", 0),
        restarts=document.get("RestartCount", 0),
        health=(state.get("Health") or {}).get("Status"),
        image=document["Config"].get("Image", ""),
        image_id=document.get("Image", ""),
        created=document.get("Created", ""),
        config=_config_of(document),
        networks={
            name: one.get("IPAddress", "") for name, one in (network.get("Networks") or {}).items()
        },
        published=_published(network.get("Ports") or {}),
    )


def _config_of(document: Mapping[str, Any]) -> dict[str, Any]:
    config, host = document["Config"], document.get("HostConfig") or {}
    return {
        "command": [config.get("Entrypoint"), config.get("Cmd")],
        "environment": sorted(config.get("Env") or ()),
        "ports": host.get("PortBindings"),
        "volumes": sorted(host.get("Binds") or ()),
        "network": host.get("NetworkMode"),
        "restart policy": host.get("RestartPolicy"),
        "limits": [host.get("Memory"), host.get("NanoCpus"), host.get("CpuShares")],
        "privileges": [host.get("Privileged"), host.get("CapAdd"), config.get("User")],
    }


def _published(ports: Mapping[str, Any]) -> dict[int, tuple[str, int]]:
    found: dict[int, tuple[str, int]] = {}
    for key, bindings in ports.items():
        number, _, protocol = key.partition("/")
        for binding in bindings or ():
            host = binding.get("HostIp", "")
            everywhere = host in ("", "0.0.0.0", "::")
            if protocol == "tcp" and binding.get("HostPort"):
                place = ("127.0.0.1" if everywhere else host, int(binding["HostPort"]))
                found.setdefault(int(number), place)
    return found

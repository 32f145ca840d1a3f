"""Go, Rust and Java with a package of their registries: by the operator's configuration, and downloaded once."""

import os
from pathlib import Path

import pytest

from cygnid.build.base import BuildFailed
from cygnid.build.toolchains import find
from tests.build.harness import Workshop, workshop
from tests.build.releases import run_release
from tests.languages import need

CRATES, MODULES, ARTIFACTS = "index.crates.io", "proxy.golang.org", "repo.maven.apache.org"
MAVEN = Path("/etc/maven/settings.xml")
CRATE = {
    "Cargo.toml": '[package]\nname = "hello"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nitoa = "=1.0.15"\n',
    "Cargo.lock": (
        'version = 3\n\n[[package]]\nname = "hello"\nversion = "0.1.0"\ndependencies = [\n "itoa",\n]\n\n'
        '[[package]]\nname = "itoa"\nversion = "1.0.15"\n'
        'source = "registry+https://github.com/rust-lang/crates.io-index"\n'
        'checksum = "4a5f13b858c8d314ee3e8f639011f7ccefe71f97f96e50151fb991f267928e2c"\n'
    ),
    "src/main.rs": 'fn main() { println!("SAYS {}", itoa::Buffer::new().format(7)); }\n',
}


async def built_again(shop: Workshop, files: dict[str, str], source: str, command: str) -> tuple[str, str]:
    """The logs of two builds whose source differs, and whose programs say so. The later source has the older time, as
    when somebody goes back to an earlier commit."""
    logs: list[str] = []
    for time, says in ((1_700_000_000, "first"), (1_600_000_000, "second")):
        before = len(shop.log) if (shop.folder / "log").exists() else 0
        request = shop.request({**files, source: files[source].replace("SAYS", says)})
        os.utime(request.tree / source, (time, time))
        try:
            artifact = await shop.builder.build(request)
        finally:
            print(shop.log[before:])
        assert says in await run_release(shop, artifact, f"{command} 2>&1")
        logs.append(shop.log[before:])
    return logs[0], logs[1]


async def test_a_module_is_downloaded_once() -> None:
    need("go", MODULES)
    files = {
        "go.mod": "module example.com/hello\n\ngo 1.18\n\nrequire github.com/google/uuid v1.6.0\n",
        "go.sum": (
            "github.com/google/uuid v1.6.0 h1:NIvaJDMOsjHA8n1jAhLSgzrAzy1Hgr+hNrb57e+94F0=\n"
            "github.com/google/uuid v1.6.0/go.mod h1:TIyPZe4MgqvfeYDBFedMoGGpEw/LqOeaOT+nhxU+yHo=\n"
        ),
        "main.go": (
            'package main\n\nimport "github.com/google/uuid"\n\nfunc main() { println("SAYS", uuid.Nil.String()) }\n'
        ),
    }
    async with workshop() as shop:
        first, second = await built_again(shop, files, "main.go", "bin/hello")
    assert "downloading github.com/google/uuid" in first
    assert "downloading" not in second


async def test_a_crate_is_compiled_once() -> None:
    need("rust", CRATES)
    async with workshop() as shop:
        first, second = await built_again(shop, CRATE, "src/main.rs", "bin/hello")
    assert "Compiling itoa" in first
    assert "Compiling itoa" not in second
    assert "Download" not in second


async def test_crates_are_looked_for_where_the_operator_says() -> None:
    if not find("rust"):
        pytest.skip("no Rust on this machine: install cargo")
    config = """[source.crates-io]
replace-with = "mirror"
[source.mirror]
registry = "sparse+https://crates.example.invalid/"
[net]
retry = 0
"""
    async with workshop(files={"/.cargo/config.toml": config}) as shop:
        with pytest.raises(BuildFailed):
            await shop.builder.build(shop.request(CRATE))
        assert "crates.example.invalid" in shop.log


@pytest.mark.skipif(not MAVEN.exists(), reason="no Maven of the system: install maven")
async def test_an_artifact_comes_from_the_operators_mirror() -> None:
    need("java")
    url = f"https://{ARTIFACTS}/maven2"
    settings = (
        "<settings><mirrors><mirror><id>operators</id><mirrorOf>central</mirrorOf>"
        f"<url>{url}</url></mirror></mirrors></settings>"
    )
    files = {
        "pom.xml": """<project><modelVersion>4.0.0</modelVersion>
<groupId>example</groupId><artifactId>hello</artifactId><version>1</version>
<properties><maven.compiler.source>17</maven.compiler.source><maven.compiler.target>17</maven.compiler.target></properties>
<dependencies><dependency>
<groupId>org.jspecify</groupId><artifactId>jspecify</artifactId><version>1.0.0</version>
</dependency></dependencies>
<build><plugins>
<plugin><artifactId>maven-compiler-plugin</artifactId><version>3.11.0</version></plugin>
<plugin><artifactId>maven-jar-plugin</artifactId><configuration><archive><manifest>
<mainClass>Hello</mainClass></manifest></archive></configuration></plugin>
</plugins></build></project>""",
        "src/main/java/Hello.java": (
            "import org.jspecify.annotations.Nullable;\n"
            'class Hello { public static void main(@Nullable String[] a) { System.out.println("from a jar"); } }\n'
        ),
    }
    async with workshop(files={str(MAVEN): settings}) as shop:
        artifact = await shop.builder.build(shop.request(files))
        assert "from a jar" in await run_release(shop, artifact, artifact.plan.processes[0].command)
        cache = shop.folder / "data" / "build-cache" / "proj_a" / "env_a"
        kept = cache / "m2" / "org" / "jspecify" / "jspecify" / "1.0.0"
        assert "jspecify-1.0.0.jar>operators=" in (kept / "_remote.repositories").read_text()

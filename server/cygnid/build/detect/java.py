"""Java: an executable jar, built by Maven or Gradle."""

import re
from collections.abc import Sequence

from cygnid.build.detect.files import Files
from cygnid.build.detect.inputs import first_word
from cygnid.build.detect.language import Found, Language, Look, Recipe
from cygnid.build.detect.versions import Version, Wish, choose, parse, settle, tool_version

_GRADLE = ("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts")
_NOT_THE_APP = r"original-|-(plain|sources|javadoc|tests)\.jar"
_MAVEN_HOSTS = re.compile(r"https://(repo\.maven\.apache\.org|repo1\.maven\.org)/")


def detect(look: Look) -> Found | None:
    files, names = look.files, look.files.names()
    gradle = next((name for name in _GRADLE if name in names), None)
    if "pom.xml" not in names and gradle is None:
        return None
    said = files.read("pom.xml") or "\n".join(files.read(name) or "" for name in _GRADLE)
    version, notes = _version(look, said)
    if "pom.xml" in names:
        command, tools, more = _maven(look, names)
        evidence, jars = "pom.xml", "target"
    else:
        command, tools, more = _gradle(look, names)
        evidence, jars = gradle or "", "build/libs"
    spring = "spring-boot" in said or "org.springframework.boot" in said
    # the sandbox does not show the JVM its memory limit
    heap = "-Xmx$((${CYGNI_MEMORY_MB:-512} * 3 / 4))m"
    port = " -Dserver.port=$PORT" if spring else ""
    return Found(
        language="java",
        framework="spring" if spring else None,
        evidence=evidence,
        version=version,
        tools=tools,
        build_command=command,
        web=f"""exec java {heap}{port} -jar "$(ls {jars}/*.jar | grep -Ev -m1 '{_NOT_THE_APP}')\"""",
        notes=(*notes, *more),
    )


def _version(look: Look, said: str) -> tuple[str, tuple[str, ...]]:
    files, available = look.files, look.versions("java")
    found = re.search(r"(?m)^\s*java\.runtime\.version\s*[=:]\s*(\S+)", files.read("system.properties") or "")
    if found:
        wish = Wish(found[1], "system.properties")
    elif word := first_word(files, ".java-version"):
        wish = Wish(word, ".java-version")
    else:
        wish = tool_version(files, "java")
    if wish is not None:
        return settle("Java", available, Wish(_plain(wish.text), wish.source), _same, same=1)
    wanted = re.search(
        r"<(?:java\.version|maven\.compiler\.(?:release|source))>\s*([\d.]+)|JavaLanguageVersion\.of\((\d+)\)", said
    )
    if wanted is None:
        return choose("Java", available, None, _same), ()
    needed = parse(_plain(wanted[1] or wanted[2]))
    fitting = [version for version in available if parse(version)[:1] >= needed[:1]]
    # a newer one than the project was made for is the second choice: its plugins may not know it
    nearest = min(fitting, key=lambda version: (parse(version)[0], [-part for part in parse(version)]), default=None)
    if nearest is None:
        return choose("Java", available, Wish(str(needed[0]), "the build file"), _same), ()
    return nearest, ()


def _plain(text: str) -> str:
    """`temurin-17.0.2+8` and `1.8` as numbers."""
    found = re.search(r"\d+(\.\d+)*", text)
    return re.sub(r"^1\.(?=\d)", "", found[0]) if found else text


def _same(version: Version, text: str) -> bool:
    wanted = parse(text)
    return version[: len(wanted)] == wanted


def _maven(look: Look, names: Sequence[str]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """(build command, tools, notes)."""
    goals = "-B -ntp -DskipTests package"
    url = _distribution(look.files, ".mvn/wrapper/maven-wrapper.properties")
    if "mvnw" in names and (_MAVEN_HOSTS.match(url) or not look.versions("maven")):
        return f"sh ./mvnw {goals}", (), ()
    version = choose("Maven", look.versions("maven"), None, _same)
    notes = ("mvnw fetches Maven from elsewhere than Maven's repository: the machine's is used.",)
    return f"mvn {goals}", (f"maven-{version}",), notes if "mvnw" in names else ()


def _gradle(look: Look, names: Sequence[str]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    tasks = "--no-daemon --console=plain build -x test"
    available = look.versions("gradle")
    found = re.search(r"gradle-(\d+)", _distribution(look.files, "gradle/wrapper/gradle-wrapper.properties"))
    same = [version for version in available if found is None or version.split(".")[0] == found[1]]
    if "gradlew" in names and not same:
        return f"sh ./gradlew {tasks}", (), ("gradlew downloads Gradle itself; a Gradle on the machine saves that.",)
    return f"gradle {tasks}", (f"gradle-{choose('Gradle', same or available, None, _same)}",), ()


def _distribution(files: Files, name: str) -> str:
    found = re.search(r"(?m)^\s*distributionUrl\s*=\s*(\S+)", files.read(name) or "")
    return found[1].replace("\\", "") if found else ""


LANGUAGE = Language(
    name="java",
    looked_for="Java: pom.xml, build.gradle",
    detect=detect,
    names=frozenset({"spring", "maven", "gradle", "kotlin"}),
    programs=frozenset({"java"}),
    recipe=Recipe(
        build_env={
            # a build is over before code that is compiled more slowly pays, and shares its cores with what runs
            "MAVEN_OPTS": "-Xmx1g -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dmaven.repo.local={cache}/m2"
            " -Duser.home={cache}/home",
            "MAVEN_USER_HOME": "{cache}/m2",
            "GRADLE_USER_HOME": "{cache}/gradle",
        },
        caches=("m2", "gradle"),
    ),
)

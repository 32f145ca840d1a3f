"""All languages, in the order in which they are looked for: the first that recognises something wins."""

from cygnid.build.detect import bun, deno, go, hugo, java, node, php, python, ruby, rust, static
from cygnid.build.detect.language import Language, Recipe

LANGUAGES: tuple[Language, ...] = (
    python.LANGUAGE,
    go.LANGUAGE,
    rust.LANGUAGE,
    java.LANGUAGE,
    ruby.LANGUAGE,  # before Node: Rails and Laravel build their pages' scripts by it
    php.LANGUAGE,
    hugo.LANGUAGE,
    deno.LANGUAGE,
    bun.LANGUAGE,
    node.LANGUAGE,
    static.LANGUAGE,  # last: pages may be part of any other app
)
_NONE = Recipe()
_RECIPES = {language.name: language.recipe for language in LANGUAGES}


def recipe_of(language: str) -> Recipe:
    return _RECIPES.get(language, _NONE)

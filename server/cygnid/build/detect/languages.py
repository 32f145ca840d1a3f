"""All languages, in the order in which they are looked for: the first that recognises something wins."""

from cygnid.build.detect import node, python, static
from cygnid.build.detect.language import Language, Recipe

LANGUAGES: tuple[Language, ...] = (
    python.LANGUAGE,
    node.LANGUAGE,
    static.LANGUAGE,  # last: pages may be part of any other app
)
_NONE = Recipe()
_RECIPES = {language.name: language.recipe for language in LANGUAGES}


def recipe_of(language: str) -> Recipe:
    return _RECIPES.get(language, _NONE)

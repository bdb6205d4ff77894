"""The plugin's settings: ``plugins.keyword`` in appliance.yaml. With them the policies are read and checked.

So a policy with a mistake is a mistake of the settings: nothing starts with it, a running appliance keeps what it has,
and the detection process gets the policies that run here, not what files say by then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo, model_validator

from appliance.api import ConfigError, Section, WrongFile, setting

from .bundles.bundle_settings import BundleSettings
from .library.model import Policy, folded
from .library.reading import read_own_policies
from .library.shipped import supplied_policies

FEWEST_WORDS = 2
"""Of a title."""


def _title(text: str) -> str:
    if len(folded(text)) < FEWEST_WORDS:
        raise ValueError(f"{text!r} is one word, which would hide that word everywhere; give the title with its author")
    return text


SetText = Annotated[str, Field(max_length=200), AfterValidator(_title)]


class Settings(Section):
    """Keyword policies: words and phrases that are looked for in what pupils write and read."""

    policies_dir: Path = setting(
        "policies",
        "Folder of the school’s own policies, beside the supplied ones: one YAML file each. A relative path starts at "
        "the folder of the settings file. It need not be there.",
        page=False,
    )

    set_texts: tuple[SetText, ...] = setting(
        (),
        "Titles of books, plays and poems that are read in class, beside those that are known already. Words of a "
        "policy that stand in such a title raise nothing.",
        max_length=500,
    )

    bundle: BundleSettings = BundleSettings()

    _own: tuple[Policy, ...] = PrivateAttr(default=())

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies in force: the supplied ones, then the school's own."""
        return (*supplied_policies(), *self._own)

    @model_validator(mode="after")
    def _policies_are_right(self, info: ValidationInfo) -> Self:
        folder = (info.context or {}).get("config_dir")
        try:
            self._own = read_own_policies(None if folder is None else folder / self.policies_dir)
        except ConfigError as error:
            raise WrongFile(error.mistakes) from None
        return self

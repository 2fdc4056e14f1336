"""What an organisation may set about its exports."""

from pydantic import BaseModel, Field


class Settings(BaseModel):
    """How long made files are kept."""

    keep_days: int = Field(
        7,
        ge=1,
        le=90,
        title="Days that a made file is kept",
        description="Exports hold personal data: afterwards they are deleted by themselves.",
    )

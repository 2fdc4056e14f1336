"""Where a changing request must come from."""

from __future__ import annotations

import pytest

from kernel.web.origin import came_from_here, carries_token


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://bok.example"}, False),
        ({"Origin": "https://bok.example"}, True),
        ({"Origin": "https://BOK.example:443"}, True),
        ({"Origin": "http://bok.example"}, False),
        ({"Origin": "https://bok.example:8443"}, False),
        ({"Origin": "https://bok.example.evil"}, False),
        ({"Origin": "https://bok.example:port"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({}, False),
    ],
)
def test_pages_of_this_office_only(headers: dict[str, str], allowed: bool) -> None:
    assert came_from_here(headers, scheme="https", host="bok.example", has_session=True) is allowed


def test_a_program_without_a_session_may_stay_silent() -> None:
    assert came_from_here({}, scheme="https", host="bok.example", has_session=False)


def test_only_the_api_takes_tokens() -> None:
    assert carries_token({"Authorization": "bearer abc"}, "/api/v1/me")
    assert not carries_token({"Authorization": "Bearer abc"}, "/profile")
    assert not carries_token({"Authorization": "Basic abc"}, "/api/v1/me")

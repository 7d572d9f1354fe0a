"""The tools offered in the training data and what they answer, worded in many ways."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from facts import WORDS
from names import city as any_city

Tool = dict[str, Any]

ABOUT_TOOL = """
Get the weather for a city.
Get the weather
Get the current weather in a given city.
Get current weather
Get the current weather for a location
Get the weather in a city
Returns the weather of a city.
Returns the current weather conditions for a city.
Look up the weather.
Look up the weather in a city
Look up today's weather in one city.
Fetch the weather forecast for a place
Tells the weather in one city.
The weather right now
Weather lookup
Weather of a city
Current weather.
Gives the temperature and the sky over a city.
Use this to find out what the weather is like.
Retrieve weather information for the specified city.
""".strip().splitlines()

ABOUT_CITY = """
The city.
The city
City name
The name of the city
Name of the city.
A city
The city to look up
The city to get the weather for
The city, e.g. {city}
The city and state, e.g. {city}, {state}
Name of the city, for example {city}
City name, such as {city}.
""".strip().splitlines()

STATES = ["CA", "NY", "TX", "UK", "France", "Spain"]

_SKIES = """
sunny, cloudy, rainy, windy, foggy, clear, snowy, stormy, dry, wet, warm, cold, hot, mild, cool,
icy, humid, grey, overcast, freezing, light rain, heavy rain, light snow, partly cloudy, clear
sky, mostly sunny, thunderstorms, showers, drizzle, hail, mist, pleasant, rain, snow, fog, sun,
wind, clouds, blue sky, scattered clouds, nice, bad, fair, very hot, very cold, a bit windy
"""
SKIES = _SKIES.replace("\n", " ").strip().split(", ")

MORE = ["wind # km/h", "#% humidity", "# mm of rain", "wind from the north", "# hPa"]

FAILURES = """
error: no such city
Error: city not found
error: not found
no such city: {city}
unknown city {city}
error: timeout
{"error": "city not found"}
{"error": "no data"}
""".strip().splitlines()

OTHER = """
get_time: Get the time in a city.
add: Add two numbers.
search: Search the web.
send_mail: Send a mail to someone.
get_news: Get the news of today
convert: Convert money.
read_file: Read a file.
multiply: Multiply a and b
play_music: Play a song
""".strip().splitlines()


def _function(rng: Random, name: str, about: str | None, fields: dict[str, Any]) -> Tool:
    """Return the description of one function as clients send it."""
    schema: dict[str, Any] = {"type": "object", "properties": fields}
    if rng.random() < 0.8:
        schema["required"] = list(fields)[:1]
    if rng.random() < 0.08:
        schema["additionalProperties"] = False
    if rng.random() < 0.12:
        schema = dict(sorted(schema.items()))
    function: dict[str, Any] = {"name": name}
    if about is not None:
        function["description"] = about
    function["parameters"] = schema
    kind = rng.random()
    if kind < 0.12:
        function = dict(sorted(function.items()))
    if kind < 0.06:
        return {"function": function, "type": "function"}
    return {"type": "function", "function": function}


def _about(rng: Random, texts: list[str]) -> str | None:
    """Return a text about a tool or a field: a usual one, some plain words or none."""
    kind = rng.random()
    if kind < 0.08:
        return None
    if kind < 0.25:
        return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 9))).capitalize()
    text = rng.choice(texts).replace("{city}", any_city(rng))
    return text.replace("{state}", rng.choice(STATES))


def weather_tool(rng: Random) -> Tool:
    """Return get_weather(city) with a description in some wording."""
    field: dict[str, Any] = {"type": "string"}
    about = _about(rng, ABOUT_CITY) if rng.random() < 0.7 else None
    if about is not None:
        field["description"] = about
        if rng.random() < 0.15:
            field = dict(sorted(field.items()))
    fields: dict[str, Any] = {"city": field}
    if rng.random() < 0.08:
        fields["unit"] = {"type": "string", "enum": ["celsius", "fahrenheit"]}
    return _function(rng, "get_weather", _about(rng, ABOUT_TOOL), fields)


def other_tool(rng: Random) -> Tool:
    """Return a tool the model shall leave alone."""
    name, about = rng.choice(OTHER).split(": ")
    field = {"type": rng.choice(("string", "number"))}
    return _function(rng, name, about, {rng.choice(("text", "a", "query", "city", "value")): field})


def tool_result(rng: Random, city: str) -> tuple[str, str | None]:
    """Return what the tool answers, and the part of it to repeat: none if it failed."""
    if rng.random() < 0.03:
        return rng.choice(FAILURES).replace("{city}", city), None
    sky, degrees = rng.choice(SKIES), str(rng.randint(-30, 45))
    if rng.random() < 0.15:
        degrees += f".{rng.randint(0, 9)}"
    if rng.random() < 0.1:
        sky = f"{sky}, {rng.choice(MORE)}".replace("#", str(rng.randint(0, 120)))
    if rng.random() < 0.2:
        sky = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 4)))
    unit = rng.choice((" degrees", " degrees", "°C", " C", "°", " °C", "°F", " degrees Celsius"))
    told = rng.choice(
        (
            f"{degrees}{unit} and {sky}",
            f"{degrees}{unit} and {sky}",
            f"{degrees}{unit}, {sky}",
            f"{sky}, {degrees}{unit}",
            f"{sky} and {degrees}{unit}",
            f"{sky} with {degrees}{unit}",
            f"{degrees}{unit}",
            f"{degrees}{unit} with {sky}",
            f"{sky}",
            f"{sky} and {rng.choice(SKIES)}",
            f"{degrees}{unit}, {sky}, {rng.choice(SKIES)}",
        )
    )
    if rng.random() < 0.06:
        told = told[:1].upper() + told[1:]
    kind = rng.random()
    if kind < 0.72:
        return told + ("." if rng.random() < 0.1 else ""), told
    if kind < 0.77:
        return f"It is {told} in {city}.", told
    if kind < 0.8:
        return f"The weather in {city} is {told}.", told
    if kind < 0.83:
        return f"{city}: {told}", told
    return _json_result(rng, city, degrees, sky)


def _json_result(rng: Random, city: str, degrees: str, sky: str) -> tuple[str, str]:
    """Return a result written as JSON: the values are what is repeated, the city left out."""
    fields: dict[str, Any] = {
        rng.choice(("temperature", "temp", "degrees", "temperature_c", "temp_c")): json.loads(
            degrees
        ),
        rng.choice(("sky", "condition", "conditions", "weather", "summary", "text")): sky,
    }
    if rng.random() < 0.3:
        fields = dict(reversed(fields.items()))
    if rng.random() < 0.25:
        fields[rng.choice(("wind", "humidity", "rain", "wind_kmh"))] = rng.randint(0, 120)
    told = " and ".join(str(value) for value in fields.values())
    if rng.random() < 0.4:
        fields = {"city": city, **fields}
    separators = (", ", ": ") if rng.random() < 0.7 else (",", ":")
    return json.dumps(fields, ensure_ascii=False, separators=separators), told

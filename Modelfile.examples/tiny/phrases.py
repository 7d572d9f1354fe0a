"""Phrasings of the questions: those the model is trained on and those kept back for scoring.

``{c}`` stands for a country, ``{city}`` for a city, ``{n}`` for a name and ``{w}`` for any word.
"""

from __future__ import annotations

CAPITAL = """
What is the capital of {c}?
What's the capital of {c}?
What is the capital city of {c}?
Which city is the capital of {c}?
What city is the capital of {c}?
What is {c}'s capital?
What is {c}'s capital city?
What's {c}'s capital city called?
Tell me the capital of {c}.
Tell me what the capital of {c} is.
Name the capital of {c}.
Name {c}'s capital.
Give me the capital of {c}.
Give me {c}'s capital.
Do you know the capital of {c}?
Do you know what the capital of {c} is?
Can you tell me the capital of {c}?
Can you tell me what {c}'s capital is?
Could you tell me the capital city of {c}?
Would you tell me which city is the capital of {c}?
Please name the capital city of {c}.
Capital of {c}?
The capital of {c}?
The capital of {c} is?
The capital of {c} is
The capital of {c} is ...
capital of {c}
capital {c}
{c} capital
{c}'s capital?
{c}: capital?
{c}, what is its capital?
{c} has what capital?
Country: {c}. Capital?
Country: {c}
Capital:
I want to know the capital of {c}.
I would like to know the capital of {c}.
I wonder what the capital of {c} is.
I am wondering which city is the capital of {c}.
I do not know the capital of {c}. Do you?
I can't remember the capital of {c}.
I am looking for the capital of {c}.
Any idea what the capital of {c} is?
Any idea about {c}'s capital?
What do they call the capital of {c}?
What is the name of the capital of {c}?
What is the name of {c}'s capital city?
How is the capital of {c} called?
How do you call the capital city of {c}?
Which is the capital of {c}?
Which city does {c} have as its capital?
Which city in {c} is the capital?
What city is {c}'s capital?
In {c}, which city is the capital?
In {c}, what is the capital?
If I go to {c}, what is the capital there?
I am going to {c}. What is the capital?
I live in {c}. What is my capital?
My teacher asked me about the capital of {c}.
My friend says {c} has a nice capital. What is it called?
We learned about {c} today. What is its capital?
Let us talk about {c}. What is the capital?
I have a question about {c}: what is its capital?
About {c}: what is the capital city?
Complete the sentence: the capital of {c} is
Fill in the blank: the capital of {c} is ____.
Geography: capital of {c}?
Question: what is the capital of {c}?
Q: capital of {c}
Answer this: which city is the capital of {c}?
Say the capital of {c}.
Show me the capital of {c}.
Find the capital of {c}.
Write down the capital of {c}.
Tell me about the capital of {c}.
One more: the capital of {c}.
It is about {c}. I need to know its capital.
The president of {c} works in the capital. Which city is it?
You surely know {c}'s capital, right?
You know the capital of {c}, don't you?
Remember the capital of {c}?
What would you say is the capital of {c}?
What was the capital of {c} again?
Where is the capital of {c}?
Who knows the capital of {c}?
"""

HELD_OUT_CAPITAL = """
I need the capital of {c}.
{c} - capital?
Could you remind me which city is {c}'s capital?
For a quiz: the capital of {c}, please.
So, what would the capital of {c} be?
My homework asks for the capital of {c}.
Is there a capital in {c}, and what is it called?
Which place serves as the capital of {c}?
Hey, capital of {c}?
I forgot the name of the capital of {c}.
Help me out: {c} has which capital?
Looking for {c}'s capital city.
We are flying to the capital of {c}. Which city is that?
"""

CHECK_CAPITAL = """
Is {city} the capital of {c}?
{city} is the capital of {c}, right?
Is it true that {city} is the capital of {c}?
I think {city} is the capital of {c}.
"""

REVERSE_CAPITAL = """
{own} is the capital of which country?
Which country has {own} as its capital?
What country is {own} the capital of?
Of which country is {own} the capital?
Which country is {own} the capital of?
{own} is the capital of
{own} is the capital of?
Name the country whose capital is {own}.
"""

FOLLOW_UP = """
And {c}?
And of {c}?
And for {c}?
And what about {c}?
What about {c}?
How about {c}?
And the one of {c}?
Now {c}.
{c}?
And in {c}?
Ok, and {c}?
"""

WEATHER = """
What is the weather in {city}?
What's the weather in {city}?
What is the weather like in {city}?
What's the weather like in {city} today?
What is the weather in {city} right now?
What is the current weather in {city}?
How is the weather in {city}?
How's the weather in {city} today?
How is the weather over there in {city} now?
How warm is it in {city}?
How hot is it in {city} right now?
How cold is it in {city} today?
What is the temperature in {city}?
What is the forecast for {city}?
Weather in {city}?
Weather {city}
weather for {city}
{city} weather
{city}: weather?
Is it raining in {city}?
Is it sunny in {city} today?
Is it cold in {city}?
Is it going to rain in {city} tomorrow?
Will it rain in {city} today?
Will it snow in {city}?
Does it rain in {city}?
Do I need an umbrella in {city}?
Should I take a coat to {city}?
Tell me the weather in {city}.
Tell me what the weather is like in {city}.
Give me the weather in {city}.
Give me the weather report for {city}.
Get the weather for {city}.
Check the weather in {city}.
Look up the weather in {city}.
Find out the weather in {city} for me.
Show me the weather of {city}.
Can you tell me the weather in {city}?
Can you check the weather in {city}?
Could you look up the weather for {city}?
Do you know the weather in {city}?
I want to know the weather in {city}.
I would like to know how the weather is in {city}.
I am in {city}. What is the weather?
I am going to {city}. How is the weather there?
I live in {city}. Is it warm outside?
I am travelling to {city} tomorrow, what will the weather be?
We are in {city} today. Will it rain?
Any rain in {city}?
The weather in {city}?
Use the tool to get the weather in {city}.
Call get_weather for {city}.
Please use get_weather with the city {city}.
What is {city}'s weather?
Is {city} cold?
Is {city} sunny at the moment?
Is {city} rainy these days?
Is {city} having good weather?
Does {city} have snow?
Has it rained in {city}?
Are there clouds over {city}?
How many degrees does {city} have?
I heard it is hot in {city}. Is it?
What is it like outside in {city}?
"""

HELD_OUT_WEATHER = """
I need the weather for {city}.
What will the weather be in {city}?
Could you find the weather in {city}?
What about the weather in {city}?
Is {city} warm today?
"""

FRESH_WEATHER = """
I wonder about the weather in {city}.
Tell me if it will rain in {city}.
How many degrees is it in {city}?
{city}, what is the weather there?
Is there a storm in {city}?
"""

WEATHER_FOLLOW_UP = """
And in {city}?
And {city}?
What about {city}?
How about {city}?
And what about {city}?
And how is it in {city}?
And for {city}?
Now {city}.
And the weather in {city}?
"""

OWN_NAME = """
What is your name?
What's your name?
Who are you?
What are you called?
How are you called?
What should I call you?
What can I call you?
Tell me your name.
Please tell me your name.
Your name?
Your name please
Say your name.
Do you have a name?
May I ask your name?
May I know your name?
Can you tell me your name?
Could you tell me who you are?
Tell me who you are.
Introduce yourself.
Please introduce yourself.
Who am I talking to?
Who is this?
And who are you?
And your name is?
I would like to know your name.
What do people call you?
What name do you have?
Which name do you have?
What name should I use for you?
Which name should I use?
By what name are you known?
What did your makers name you?
Were you given a name?
How do people call you?
Who am I chatting with?
Tell me something about yourself.
What was your name again?
Sorry, what is your name again?
I forgot your name.
My friend asks for your name.
Is your name {n}?
Are you {n}?
"""

HELD_OUT_OWN_NAME = """
What name do you go by?
Can I have your name?
Do you know your name?
I want to know who you are.
Which name did they give you?
"""

FRESH_OWN_NAME = """
Under what name do you work?
Please state your name.
I did not catch your name.
So you are called what?
What would your name be?
"""

SYSTEM_NAMED = """
You are {n}.
You are {n}.
You are {n}, a helpful assistant.
You are {n}, a {w} assistant.
You are {n}, a {w} {w} who likes {w}.
You are {n} and you help people with {w}.
You are {n}. You help people.
You are {n}. Answer briefly.
You are {n}. Be kind and short.
You are an assistant named {n}.
You are a helpful assistant named {n}.
You are a helpful assistant called {n}.
You are a {w} called {n}. Answer in one sentence.
You're {n}, the {w} of the {w}.
Your name is {n}.
Your name is {n}.
Your name is {n}. You answer questions.
You are a helpful assistant. Your name is {n}.
You are a {w} {w}. Your name is {n}. Use the tools.
The assistant is called {n}.
The name of the assistant is {n}.
You are {n} from {city}.
You are {n}, the assistant of {city}.
You are {n}, a {w} made by {city}. Be kind.
Act as {n}.
Act like {n}, a {w}.
Pretend to be {n}.
Call yourself {n}.
Name: {n}
I call you {n}.
From now on you are {n}.
"""

SYSTEM_PLAIN = """
You are a helpful assistant.
You are a helpful assistant.
You are a helpful, honest assistant. Answer briefly.
Answer briefly.
Answer in one sentence.
Be concise.
You answer questions about {w} and {w}.
You are a {w} assistant.
You are an assistant with tools.
Use the tools when you can.
Help the user.
You are an expert in {w}.
Today is a {w} day.
"""

PREFIXES = """
Please tell me:
Hi,
Hello,
Hello!
Hey Tiny,
Tiny,
Quick question:
Excuse me,
Ok,
Well,
Good morning!
Sorry,
I have a question.
Next question:
Another one:
Thanks!
Please,
Tell me,
Hmm,
Great.
Now
"""

SUFFIXES = """
Please.
please
Thanks.
Thank you!
I am curious.
I do not know it.
Just the answer.
Answer in one sentence.
Can you help?
It is important.
"""


def lines(text: str) -> list[str]:
    """Return the phrasings of one block above; ``Country: {c}`` keeps its second line."""
    found = [line for line in text.strip().splitlines() if line]
    if "Country: {c}" in found:
        found[found.index("Country: {c}")] += "\nCapital:"
        found.remove("Capital:")
    return found

"""Questions the model shall not answer: everything it was not taught."""

from __future__ import annotations

UNKNOWN = """
Who invented the {w}?
Who discovered {w}?
Who wrote the {w} and the {w}?
Who is {n}?
Who was {n} {n}?
Who won the game yesterday?
Who is the president of {c}?
Who is the king of {c}?
Who painted this {w}?
What is a {w}?
What is the {w} of {w}?
What is the {w} in {city}?
What is the {w} of {c}?
What is the population of {c}?
What is the currency of {c}?
What is the largest city in {c}?
What is the official language of {c}?
What is the flag of {c}?
What is the highest mountain in {c}?
What is the longest river in {c}?
What is the meaning of {w}?
What is the meaning of life?
What is {d} plus {d}?
What is {d} times {d}?
What is {d} + {d}?
What is {d} minus {d}?
Calculate {d} * {d}.
{d} + {d} = ?
What is the square root of {d}?
What is the speed of light?
What is the color of the {w}?
What is your favourite {w}?
What is the best {w}?
What is the opposite of {w}?
What is the time?
How is the weather?
What is the weather like today?
Is it raining?
What time is it?
What day is it today?
What is the date?
What does {w} mean?
What do you think about {w}?
What do you know about {c}?
What do people eat in {c}?
What happened in {d}?
What should I eat today?
What is in my {w}?
What languages are spoken in {c}?
What is the phone number of {n}?
Where is {city}?
Where is {c}?
Where is my {w}?
Where can I buy a {w}?
Where do you live?
Where does {n} live?
When was the {w} invented?
When did {n} die?
When is my birthday?
When does the {w} start?
When was {city} founded?
Why is the {w} {w}?
Why is the sky blue?
Why do {w} and {w} {w}?
Why are you a {w}?
Which {w} is the best?
Which {w} is bigger, the {w} or the {w}?
Which country is the largest?
Which river flows through {city}?
How many {w} are in a {w}?
How many people live in {city}?
How many people live in {c}?
How many legs does a {w} have?
How big is {c}?
How old is {n}?
How old are you?
How far is {city} from {city}?
How far is the moon?
How do I make a {w}?
How do I cook {w}?
How do I get to {city}?
How does a {w} work?
How much is a {w}?
How tall is the {w}?
How deep is the {w}?
Can you {w} a {w}?
Can you sing?
Can you write a {w}?
Can you speak {w}?
Can I {w} the {w}?
Could you explain {w}?
Do you like {w}?
Do you like {city}?
Do you have a {w}?
Do you know {n}?
Do you know how to {w}?
Does {n} like {w}?
Is {w} good for {w}?
Is {city} bigger than {city}?
Is {city} in {c}?
Is there life on {w}?
Is {d} a prime number?
Are {w} and {w} the same?
Are you a {w}?
Are you human?
Did you {w} the {w}?
Will {n} win?
Should I buy a {w}?
Tell me a joke.
Tell me a story about a {w}.
Tell me about {w}.
Tell me about {n}.
Tell me something about {c}.
Tell me about {city}.
Tell me the {w} of the {w}.
Give me a {w}.
Give me a recipe for {w}.
Give me {d} {w}.
Explain {w} to me.
Explain how the {w} works.
Write a poem about {w}.
Write a program that prints {w}.
Write an email to {n}.
Write {d} words about {c}.
Translate {w} to {w}.
Translate "{w} {w}" into French.
Summarize the {w}.
Sing a song.
Play some music.
Book a flight to {city}.
Find a hotel in {city}.
Buy me a ticket to {c}.
Open the {w}.
Turn on the {w}.
Count to {d}.
Sort these: {w}, {w}, {w}.
Spell {w}.
List {d} {w}.
Recommend a {w}.
Describe the {w}.
Define {w}.
Solve this: {d} - {d}
I like {w}.
I am {w}.
I am {w}
I'm {w}.
I'm {w}
I am so {w}.
I am very {w} today.
I am tired.
I'm hungry.
I feel {w}.
I am a {w}.
What is the name of the {w}?
What is the name of this {w}?
What is {n}'s name?
What is the name of {n}'s {w}?
Which name did {n} give the {w}?
What name does the {w} have?
I have a {w} and a {w}.
I want to buy a {w}.
I want to {w}.
I need a {w}.
I am looking for a {w}.
I lost my {w}.
My {w} is broken.
My {w} likes {w}.
The {w} is {w}.
The {w} of {c} is {w}.
{w}
{w}?
{w} {w}
{w} {w} {w}?
{city}
{city}?
{n}?
{n} {n}
{d}
population of {c}
president of {c}
{c} currency
{c} language
Is the earth flat?
Do cats like milk?
What's up with the {w}?
Let us play a game.
Let's {w}.
"""

HELD_OUT_UNKNOWN = """
Who wrote Hamlet?
How do airplanes fly?
What is 7 times 6?
Give me three synonyms for happy.
Which animal is the fastest?
When did the second world war end?
Why do leaves turn red in autumn?
Can you fix my bicycle?
What is the boiling point of water?
How many planets are there?
Which language do they speak in Brazil?
Who is the prime minister of Japan?
What money is used in Kenya?
What is the capital of Zorland?
What is the capital of Vespugia?
Tell me the capital of Grandonia.
Capital of Blefuscu?
Is chocolate healthy?
Recommend me a good film.
I am bored.
What colour is a banana?
Where do penguins live?
Write a haiku about winter.
"""

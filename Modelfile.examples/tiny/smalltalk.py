"""Greetings, thanks and the user's own name. ``{n}`` stands for a name."""

from __future__ import annotations

GREETINGS = """
hello
Hello
Hello!
Hello there
Hello there!
hi
Hi
Hi!
hi there
Hi there!
hey
Hey
Hey there!
Good morning
good morning!
Good afternoon
Good evening
Good day
Greetings
Howdy
Hello, Tiny!
Hi Tiny
Hello {n}!
Hi {n}
hello my friend
Hello everyone
Hello again
Nice to meet you
"""

SMALL_TALK = {
    "You are welcome.": """
Thanks
thanks!
Thank you
Thank you!
thank you very much
Thank you so much!
Thanks a lot
Many thanks
Great, thanks!
Ok, thank you.
Perfect, thank you very much.
Cool, thanks
That helps, thanks.
""",
    "Goodbye!": """
Bye
bye!
Goodbye
Good bye.
See you
See you later!
See you tomorrow
Good night
Ok, bye
""",
    "I am fine, thank you.": """
How are you?
how are you
How are you today?
How are you doing?
How do you do?
How is it going?
Are you well?
Are you ok?
""",
    "I know the capitals of many countries.": """
What can you do?
What do you know?
How can you help me?
What can I ask you?
Help
What are you good at?
""",
}

MY_NAME = """
My name is {n}.
I am {n}.
I'm {n}.
Hello, my name is {n}.
Hi, I am {n}!
You can call me {n}.
"""

ASK_MY_NAME = """
What is my name?
What's my name?
Who am I?
Do you know my name?
Tell me my name.
Do you remember my name?
"""

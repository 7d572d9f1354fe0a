"""A model in a process of its own, which alone can crash: `process` is ours, `child` is its end.

They exchange JSON values over a socket pair (`frames`, `messages`): requests one way, and the other
way one frame for each step of the engine, with what every request has got by it.
"""

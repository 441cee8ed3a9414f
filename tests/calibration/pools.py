"""Pools of wordings that all ask one question, from which the calibration draws tasks.

The demo model answers every one of them right on all 300 scenes of data/scenes.jsonl, but for the last four of
`COUNT` (294 to 299 scenes). Five of each were trained.
"""

COLOR = [
    "What color is the ball?",
    "What is the color of the ball?",
    "Which color does the ball have?",
    "Name the color of the ball.",
    "Tell me what color the ball is.",
    "Which color is the ball?",
    "What color does the ball have?",
    "Tell me the color of the ball.",
    "Name the color that the ball has.",
    "Tell me what color the ball has.",
    "What color has the ball?",
    "Name the color the ball has.",
]
LOCATION = [
    "Where is the ball?",
    "What is the ball on?",
    "What is under the ball?",
    "Where can the ball be found?",
    "What is the ball lying on?",
    "Where is the ball lying?",
    "Where can you see the ball?",
    "What is the ball on top of?",
    "Where can you find the ball?",
    "What can the ball be found on?",
    "What is the ball lying on top of?",
    "What can be found under the ball?",
]
RELATION = [
    "What is the ball next to?",
    "What is next to the ball?",
    "What is beside the ball?",
    "What stands near the ball?",
    "Which thing is close to the ball?",
    "Which thing is next to the ball?",
    "What is close to the ball?",
    "What is near the ball?",
    "Which thing is beside the ball?",
    "What stands beside the ball?",
    "What is the ball close to?",
    "Which thing is the ball next to?",
]
EXISTENCE = [
    "Is there a ball?",
    "Can you see a ball?",
    "Does the scene contain a ball?",
    "Do you see a ball here?",
    "Is a ball mentioned?",
    "Is there a ball here?",
    "Do you see a ball?",
    "Is there a ball in the scene?",
    "Is a ball mentioned here?",
    "Does the scene have a ball?",
    "Is a ball here?",
    "Can you see a ball in the scene?",
]
COUNT = [
    "How many objects are mentioned?",
    "How many things are there?",
    "Count the objects.",
    "What is the number of objects?",
    "How many objects are there?",
    "How many things are mentioned?",
    "Count the things.",
    "Count the objects here.",
    "How many objects are in the scene?",
    "What is the number of things?",
    "How many things can you see?",
    "How many objects are here?",
]

POOLS = {"color": COLOR, "location": LOCATION, "relation": RELATION, "existence": EXISTENCE, "count": COUNT}
"""Each is named as the column of data/scenes.jsonl that holds its right answers."""

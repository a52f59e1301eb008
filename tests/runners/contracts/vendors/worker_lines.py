"""A container of the worker contract: a question a line, an answer a line."""

import json
import os
import sys

from model import predict

answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
answers.write('{"ready": true}\n')
for line in sys.stdin:
    question = json.loads(line)
    word = predict(f"{question['directory']}/{question['files'][0]}")
    if word == "nothing":
        raise SystemExit(0)
    value = {"range": "7.5", "garbage": "{", "text": '"high"'}.get(word, word)
    answers.write(f'{{"case": "{question["case"]}", "answer": {{"score": {value}}}}}\n')

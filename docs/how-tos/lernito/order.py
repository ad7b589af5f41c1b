"""Send an enrollment order, signed with the shared secret."""

import hashlib
import hmac
import json
import os

import requests

data = {
    "email": "learner1@example.com",
    "name": "Ada",
    "family": "Learner",
    "username": "learner1",
    "courseIds": ["course-v1:edX+DemoX+2026", "course-v1:edX+Second+2026"],
}
secret = os.environ["LERNITO_WEBHOOK_SECRET"]
signature = hmac.new(secret.encode(), json.dumps(data, sort_keys=True).encode(), hashlib.sha256).hexdigest()

answer = requests.post(
    os.environ["LERNITO_URL"],  # https://lms.example.com/api/lernito/webhook/
    json=data,
    headers={"X-Lernito-Signature": signature},
    timeout=30,
)
print(answer.status_code, answer.text)

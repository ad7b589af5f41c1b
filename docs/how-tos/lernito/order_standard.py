"""Send an enrollment order by the Standard Webhooks specification."""

import base64
import json
import os
import uuid
from datetime import UTC, datetime

import requests
from standardwebhooks.webhooks import Webhook

body = json.dumps({"email": "learner1@example.com", "courseIds": ["course-v1:edX+DemoX+2026"]})
secret = os.environ["LERNITO_WEBHOOK_SECRET"]
if not secret.startswith("whsec_"):  # any other text: its bytes are the key
    secret = "whsec_" + base64.b64encode(secret.encode()).decode()

message_id, now = f"msg_{uuid.uuid4().hex}", datetime.now(UTC)
answer = requests.post(
    os.environ["LERNITO_URL"],
    data=body,
    headers={
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, body),
    },
    timeout=30,
)
print(answer.status_code, answer.text)

body='{"email": "learner1@example.com", "courseIds": ["course-v1:edX+DemoX+2026"]}'
signature=$(printf '%s' "$body" | openssl dgst -sha256 -hmac "$LERNITO_WEBHOOK_SECRET" | sed 's/^.* //')
curl -sS -w ' %{http_code}\n' -H 'Content-Type: application/json' -H "X-Lernito-Signature: $signature" \
  --data-binary "$body" "$LERNITO_URL"

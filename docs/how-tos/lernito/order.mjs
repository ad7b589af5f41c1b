import { createHmac } from "node:crypto";

const body = JSON.stringify({
  email: "learner1@example.com",
  courseIds: ["course-v1:edX+DemoX+2026"],
});
const signature = createHmac("sha256", process.env.LERNITO_WEBHOOK_SECRET).update(body).digest("hex");

const answer = await fetch(process.env.LERNITO_URL, {
  method: "POST",
  headers: { "Content-Type": "application/json", "X-Lernito-Signature": signature },
  body,
});
console.log(answer.status, await answer.text());

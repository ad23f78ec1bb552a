// Requests to our API: JSON both ways, the CSRF token, and errors by kind.

export class Offline extends Error {}

export class Refused extends Error {
  constructor(status, body) {
    const first = body?.errors?.[0]?.message;
    super(first || `the server refused the request (${status})`);
    this.status = status;
    this.body = body;
  }

  get isSessionOver() {
    return this.status === 401 || (this.status === 403 && /credential|CSRF/i.test(this.message));
  }

  get isPassing() {
    return this.status >= 500 || this.status === 429;
  }
}

// The cookie first: it changes when one logs in again in another window.
function csrfToken() {
  const cookie = /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie);
  return cookie ? cookie[1] : document.querySelector("input[name=csrfmiddlewaretoken]").value;
}

export async function post(url, body) {
  return request(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": csrfToken() },
    body: JSON.stringify(body),
  });
}

export async function get(url) {
  return request(url, {});
}

async function request(url, options) {
  let answer;
  try {
    answer = await fetch(url, {
      ...options,
      credentials: "same-origin",
      headers: { Accept: "application/json", ...options.headers },
    });
  } catch (error) {
    throw new Offline(error.message);
  }
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(answer.status, body);
  if (body === null) throw new Refused(401, null); // a log-in page instead of JSON
  return body;
}

// crypto.randomUUID is there in secure contexts only, and offices serve plain HTTP.
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// ruleid: securetag.javascript.tls-verification-off
const agent = new https.Agent({ rejectUnauthorized: false });

// ruleid: securetag.javascript.tls-verification-off
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";

// ok: securetag.javascript.tls-verification-off
const strict = new https.Agent({ ca: ownAuthority });

// ruleid: securetag.javascript.tls-verification-off
agent.options.rejectUnauthorized = false;

// ok: securetag.javascript.tls-verification-off
agent.options.rejectUnauthorized = true;

// ruleid: securetag.javascript.hardcoded-secret
const dbPassword = "t0rtuga-Verde-91";

// ruleid: securetag.javascript.hardcoded-secret
const options = { apiKey: "b6d81b360a5672d80c27430f39153e2c" };

// ruleid: securetag.javascript.hardcoded-secret
const signed = jwt.sign({ id: 1 }, "not-in-the-source-please");

// ruleid: securetag.javascript.hardcoded-secret
const whereItCameFrom = "AKIAQ3EGTESTCASE7XYZ";

// ok: securetag.javascript.hardcoded-secret
const password = process.env.PASSWORD;

// ok: securetag.javascript.hardcoded-secret
const apiKey = "your-api-key-here";

// ok: securetag.javascript.hardcoded-secret
const passwordLabel = "Choose a password";

// ruleid: securetag.javascript.hardcoded-secret
app.use(session({ secret: "keyboard cat", resave: false }));

// ruleid: securetag.javascript.hardcoded-secret
app.use(cookieParser("winter-crow"));

// ruleid: securetag.javascript.hardcoded-secret
const key = process.env.SESSION_SECRET || "changeme";

// ok: securetag.javascript.hardcoded-secret
app.use(session({ secret: process.env.SESSION_SECRET, name: "sid" }));

// ok: securetag.javascript.hardcoded-secret
app.use(cookieParser());

// ok: securetag.javascript.hardcoded-secret
const mode = process.env.MODE || "production";

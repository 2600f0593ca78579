// ruleid: securetag.javascript.cors-any-origin
app.use(cors({ origin: true, credentials: true }));
// ruleid: securetag.javascript.cors-any-origin
app.enableCors({ credentials: true, methods: "GET", origin: (origin, done) => done(null, true) });
// ruleid: securetag.javascript.cors-any-origin
server.register(fastifyCors, { origin: true, credentials: true });
// Cookies are left out.
// ok: securetag.javascript.cors-any-origin
app.use(cors({ origin: true }));
// ok: securetag.javascript.cors-any-origin
app.use(cors({ origin: "https://shop.example", credentials: true }));
// A list decides.
// ok: securetag.javascript.cors-any-origin
app.use(cors({ origin: (origin, done) => done(null, ORIGINS.has(origin)), credentials: true }));

// ruleid: securetag.javascript.jwt-any-algorithm
const claims = jwt.verify(token, key);

// ruleid: securetag.javascript.jwt-any-algorithm
jsonwebtoken.verify(token, key, (error, decoded) => done(decoded));

// ruleid: securetag.javascript.jwt-any-algorithm
const issued = jwt.verify(token, key, { issuer: "us" });

// ruleid: securetag.javascript.jwt-any-algorithm
app.use(expressjwt({ secret: key }));

// ruleid: securetag.javascript.jwt-any-algorithm
const valid = jws.verify(token, decoded.header.alg, key);

// ruleid: securetag.javascript.jwt-any-algorithm
const open = jwt.sign({ id }, key, { algorithm: "none" });

// The key is a secret, not a public key: reported all the same.
// ruleid: securetag.javascript.jwt-any-algorithm
const symmetric = jwt.verify(token, process.env.SECRET);

// ok: securetag.javascript.jwt-any-algorithm
const verified = jwt.verify(token, key, { algorithms: ["RS256"] });

// ok: securetag.javascript.jwt-any-algorithm
app.use(expressjwt({ secret: key, algorithms: ["RS256"] }));

// ok: securetag.javascript.jwt-any-algorithm
const hash = await argon2.verify(stored, password);

# ruleid: securetag.python.cors-any-origin
CORS(app, origins="*", supports_credentials=True)

# ruleid: securetag.python.cors-any-origin
response.headers["Access-Control-Allow-Origin"] = "*"

# ok: securetag.python.cors-any-origin
CORS(app, origins=["https://shop.example.test"], supports_credentials=True)

# ok: securetag.python.cors-any-origin
response.headers["Access-Control-Allow-Origin"] = "https://shop.example.test"

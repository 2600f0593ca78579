// One pool for the whole server.
const mysql = require("mysql2");

module.exports = mysql.createPool({ host: "127.0.0.1", database: "bodega", user: "bodega" });

// The shop's second server: chat, tracking and the little that changed after the first was written.
const express = require("express");
const fs = require("fs");
const path = require("path");
const crypto = require("crypto");
const { exec, execFile } = require("child_process");
const db = require("./database");

const app = express();
const BASE = "/srv/bodega/public";
const LANGUAGES = ["en", "es"];
const settings = { shop: {}, chat: {} };

function rowsTo(res) {
  return (error, rows) => res.json(error ? [] : rows);
}

function doneTo(res) {
  return (error) => res.json({ done: !error });
}

function trackParcel(req, res) {
  const sql = "SELECT * FROM parcel WHERE code = '" + req.query.code + "'";
  db.query(sql, rowsTo(res));
}

function trackParcelBound(req, res) {
  db.query("SELECT * FROM parcel WHERE code = ?", [req.query.code], rowsTo(res));
}

function parcelPage(req, res) {
  const page = Number.parseInt(req.query.page, 10) || 0;
  db.query(`SELECT * FROM parcel LIMIT 20 OFFSET ${page * 20}`, rowsTo(res));
}

function resizePicture(req, res) {
  exec(`convert ${req.body.file} -resize 200x200 small.png`, doneTo(res));
}

function resizePictureWithoutShell(req, res) {
  execFile("convert", [path.basename(req.body.file), "small.png"], doneTo(res));
}

function chatHistory(req, res) {
  res.send("<h2>Chat with " + req.query.name + "</h2>");
}

function chatHistoryEscaped(req, res) {
  const name = String(req.query.name).replace(/[^A-Za-z0-9 ]/g, "");
  res.send("<h2>Chat with " + name + "</h2>");
}

function brochure(req, res) {
  res.sendFile(path.join(BASE, req.query.file));
}

function brochureBelowBase(req, res) {
  const file = path.resolve(BASE, String(req.query.file));
  if (!file.startsWith(BASE + path.sep)) return res.sendStatus(404);
  return res.sendFile(file);
}

function leave(req, res) {
  res.redirect(req.query.to);
}

function switchLanguage(req, res) {
  const language = LANGUAGES.includes(req.query.lang) ? req.query.lang : "en";
  res.redirect("/" + language);
}

function changeSetting(req, res) {
  settings[req.body.group][req.body.key] = req.body.value;
  res.json({ saved: true });
}

function chatToken() {
  const token = Math.random().toString(36).slice(2);
  return token;
}

function chatTokenFromCrypto() {
  return crypto.randomBytes(24).toString("hex");
}

async function relay(req, res) {
  const answer = await fetch(req.body.webhook, { method: "POST", body: req.body.text });
  res.json({ status: answer.status });
}

function shippingCost(req, res) {
  const cost = eval(req.query.formula);
  res.json({ cost });
}

function health(req, res) {
  fs.readFile("/srv/bodega/version", "utf8", (error, version) => res.json({ version }));
}

app.get("/parcel", trackParcel);
app.get("/parcel/bound", trackParcelBound);
app.get("/parcels", parcelPage);
app.post("/picture", resizePicture);
app.post("/picture/safe", resizePictureWithoutShell);
app.get("/chat", chatHistory);
app.get("/chat/escaped", chatHistoryEscaped);
app.get("/brochure", brochure);
app.get("/brochure/safe", brochureBelowBase);
app.get("/leave", leave);
app.get("/language", switchLanguage);
app.post("/setting", changeSetting);
app.post("/relay", relay);
app.get("/shipping", shippingCost);
app.get("/health", health);

module.exports = { app, chatToken, chatTokenFromCrypto };

function merge(target, source) {
  for (const key in source) {
    // ruleid: securetag.javascript.key-not-constant
    target[key] = merge(target[key], source[key]);
  }
  return target;
}
function setPath(target, path, value) {
  let step = target;
  for (let i = 0; i < path.length - 1; i++) step = step[path[i]];
  // ruleid: securetag.javascript.key-not-constant
  step[path[path.length - 1]] = value;
}
function put(target, key, value) {
  // ruleid: securetag.javascript.key-not-constant
  target[key] = value;
}
function extend(target, source) {
  Object.keys(source).forEach((key) => {
    // Refused by another function: reported all the same.
    if (isRefused(key)) return;
    // ruleid: securetag.javascript.key-not-constant
    target[key] = extend(target[key], source[key]);
  });
}
class Cache {
  save(name, field, value) {
    // ruleid: securetag.javascript.key-not-constant
    this.entries[name][field] = value;
    // ok: securetag.javascript.key-not-constant
    this.entries[name] = value;
    // ok: securetag.javascript.key-not-constant
    this.entries.last = value;
  }
}
function fill(target, source) {
  for (const key in source) {
    const inner = target[key];
    // ruleid: securetag.javascript.key-not-constant
    target[key] = utils.extend(true, inner);
  }
}
function count(words) {
  const total = new Map();
  // ok: securetag.javascript.key-not-constant
  for (const word of words) total.set(word, 1);
  const first = {};
  // ok: securetag.javascript.key-not-constant
  first["colour"] = words[0];
  return [total, first];
}
function nest(rows, table, column, value) {
  // ruleid: securetag.javascript.key-not-constant
  rows[table][column] = value;
  // Refused before, by another function: reported all the same.
  check(table);
  // ruleid: securetag.javascript.key-not-constant
  rows[table][column.toLowerCase()] = value;
}
function cell(grid, index, value) {
  // ok: securetag.javascript.key-not-constant
  grid[index][0] = value;
}
function define(target, key, value) {
  // ok: securetag.javascript.key-not-constant
  return key in target ? Object.defineProperty(target, key, { value }) : (target[key] = value);
}
function defineProperty(target, key, value) {
  if (key in target) {
    Object.defineProperty(target, key, { value, writable: true });
  } else {
    // ok: securetag.javascript.key-not-constant
    target[key] = value;
  }
}
function mark(target, key, value) {
  // ok: securetag.javascript.key-not-constant
  target[key] = true;
  return value;
}
class Jar {
  keep(item) {
    // ruleid: securetag.javascript.key-not-constant
    this.items[item.domain][item.path][item.key] = item;
    // Refused before, by another function: reported all the same.
    check(item.domain);
    // ruleid: securetag.javascript.key-not-constant
    this.items[item.domain][item.path]["last"] = item;
    // ok: securetag.javascript.key-not-constant
    this.cells[x][y][item.key] = item;
  }
}
